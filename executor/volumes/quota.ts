/**
 * Quotas of directories, by Gluster's own command, which works only on hosts that belong to Gluster's pool: a mere client may not. Gluster
 * looks every few seconds how much is used, unless told to look always; guests write more in that time than a small quota holds.
 */
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { runCommand } from '../libvirt/command.ts';
import { parseXml } from '../libvirt/xml.ts';
import { VolumeError } from './errors.ts';

const commandMs = 60_000;
const patienceMs = 30_000;
const againMs = 500;
const always = '0s';
const timeouts = ['soft-timeout', 'hard-timeout'] as const;

/** Repeatable. `gluster`: the command line to begin with. `directory`: absolute within the volume, it exists. Throws VolumeError. */
export async function limitUsage(
  gluster: readonly string[],
  volume: string,
  directory: string,
  bytes: number,
  clock: Clock,
): Promise<void> {
  const run = async (...args: readonly string[]): Promise<string> =>
    await patiently(gluster, ['--mode=script', ...args], clock).catch((cause) => {
      throw new VolumeError(
        'QuotaFailed',
        `Cannot limit ${directory} of the Gluster volume ${volume}: ${messageOf(cause)}. The host must belong to Gluster's pool`,
        { cause },
      );
    });
  const options = optionsOf(await run('--xml', 'volume', 'info', volume));
  if (options.get('features.quota') !== 'on') await run('volume', 'quota', volume, 'enable');
  for (const timeout of timeouts)
    if (options.get(`features.${timeout}`) !== always) await run('volume', 'quota', volume, timeout, always);
  await run('volume', 'quota', volume, 'limit-usage', directory, String(bytes));
}

/** Gluster carries out one such command at a time, of all hosts, and refuses a second one. */
async function patiently(
  [program, ...first]: readonly string[],
  args: readonly string[],
  clock: Clock,
): Promise<string> {
  const deadline = clock.monotonic() + patienceMs;
  for (;;) {
    try {
      return await runCommand(program!, [...first, ...args], { deadlineMs: commandMs });
    } catch (error) {
      if (!/Another transaction is in progress|Locking failed/.test(messageOf(error)) || clock.monotonic() > deadline)
        throw error;
    }
    await clock.sleep(againMs);
  }
}

function optionsOf(xml: string): ReadonlyMap<string, string> {
  const options = (parseXml(xml) as InfoXml).cliOutput?.volInfo?.volumes?.volume?.options;
  // Without an option it is empty text.
  const found = typeof options === 'object' ? [options.option ?? []].flat() : [];
  return new Map(found.map(({ name, value }) => [name, value]));
}

interface InfoXml {
  readonly cliOutput?: { readonly volInfo?: { readonly volumes?: { readonly volume?: VolumeXml } } };
}

interface VolumeXml {
  readonly options?: { readonly option?: OptionXml | readonly OptionXml[] } | string;
}

interface OptionXml {
  readonly name: string;
  readonly value: string;
}
