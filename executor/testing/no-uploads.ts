import { UploadError, type Uploads } from '../images/uploads.ts';

/** Of a host that takes no files. */
const refuse = () => Promise.reject(new UploadError('cannot', 'The host takes no files'));

export const noUploads: Pick<Uploads, 'state' | 'receive'> = { state: refuse, receive: refuse };
