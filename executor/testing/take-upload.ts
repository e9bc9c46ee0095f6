/** A process of its own that takes a file from its standard input, to be killed in the middle: IMAGE-STORE and an UploadPiece as JSON. */
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { type UploadPiece, Uploads } from '../images/uploads.ts';

const [imageStore = '', piece = ''] = process.argv.slice(2);
await using uploads = new Uploads({
  imageStore,
  cluster: 'lab',
  changed: () => undefined,
  clock: systemClock,
  log: silentLog,
});
const begin = (): void => void process.stdout.write('begun\n');
const signal = new AbortController().signal;
await uploads.receive(JSON.parse(piece) as UploadPiece, process.stdin, { begin, signal });
