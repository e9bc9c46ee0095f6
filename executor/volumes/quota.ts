/**
 * Quotas of directories, by Gluster's own command, which works only on hosts that belong to Gluster's pool: a mere client may not. Gluster
 * looks every few seconds how much is used, unless told to look always; guests write more in that time than a small quota holds.
 */
import { messageOf } from '#lib/std/errors.ts';
import { runCommand } from '../libvirt/command.ts';
import { parseXml } from '../libvirt/xml.ts';
import { VolumeError } from './errors.ts';

const commandMs = 60_000;
const always = '0s';
const timeouts = ['soft-timeout', 'hard-timeout'] as const;

/** Repeatable. `gluster`: the command line to begin with. `directory`: absolute within the volume, it exists. Throws VolumeError. */
export async function limitUsage(
  gluster: readonly string[],
  volume: string,
  directory: string,
  bytes: number,
): Promise<void> {
  const [program, ...first] = gluster;
  const run = async (...args: readonly string[]): Promise<string> =>
    await runCommand(program!, [...first, '--mode=script', ...args], { deadlineMs: commandMs }).catch((cause) => {
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
