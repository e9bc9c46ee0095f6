/** Pictures of a screen as libvirt hands them over: PNG where QEMU can make it (7.1), else PPM. */
import { isPng, type Picture, png } from '../console/png.ts';

/** Throws if it is neither. */
export async function asPng(bytes: Buffer): Promise<Buffer> {
  return isPng(bytes) ? bytes : await png(readPpm(bytes));
}

/** A P6 without comments, as QEMU makes it. */
function readPpm(bytes: Buffer): Picture {
  const head = /^P6\n(\d{1,5}) (\d{1,5})\n255\n/.exec(bytes.toString('latin1', 0, 32));
  if (!head) throw new Error('libvirt sent a picture of a form that is not known');
  const [width, height] = [Number(head[1]), Number(head[2])];
  const rgb = bytes.subarray(head[0].length);
  if (rgb.length !== width * height * 3)
    throw new Error(`libvirt sent ${rgb.length} bytes of a picture of ${width} x ${height}`);
  return { width, height, rgb };
}
