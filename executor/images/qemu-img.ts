/** qemu-img's own opinion of a file that our header reader let through. Never lets it guess a format, and limits what it may use. */
import { execFile } from 'node:child_process';
import { ImportError } from './errors.ts';

const timeoutMs = 30_000;
/** Address space in bytes and CPU seconds; hostile metadata makes qemu-img eat both. */
const limits = ['--as=1073741824', '--cpu=20', '--nofile=64'];

/** The virtual size as qemu-img sees it; undefined on a host without qemu-img or prlimit. Throws ImportError if it refuses the file. */
export async function qemuImgSize(path: string, format: 'qcow2' | 'raw'): Promise<number | undefined> {
  const command = ['qemu-img', 'info', '--output=json', '-f', format, path];
  const { error, stdout, stderr } = await run('prlimit', [...limits, ...command]);
  if (error && (error.code === 'ENOENT' || error.code === 127)) return undefined;
  if (error)
    throw ImportError.refused('UnsupportedFormat', `qemu-img refuses the image: ${stderr.trim().slice(0, 500)}`);
  const info = JSON.parse(stdout) as { format?: string; 'virtual-size'?: number; 'backing-filename'?: string };
  if (info.format !== format || info['backing-filename'] !== undefined || typeof info['virtual-size'] !== 'number')
    throw ImportError.refused('UnsupportedFormat', 'qemu-img sees another image in the file than its header says');
  return info['virtual-size'];
}

function run(
  file: string,
  args: readonly string[],
): Promise<{ error: { code?: string | number | null } | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    // Nothing of our environment: no proxy, no library path, no token is qemu-img's business.
    const options = {
      timeout: timeoutMs,
      maxBuffer: 1_048_576,
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' },
    };
    execFile(file, args, { ...options, encoding: 'utf8' }, (error, stdout, stderr) =>
      resolve({ error, stdout, stderr }),
    );
  });
}
