/** The monitor's configuration file; its form is in docs/monitor.md. */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { UsageError } from '#lib/std/main.ts';
import type { Amounts } from './amounts.ts';
import { defaultPolicy, type Policy } from './policy.ts';

export interface Settings {
  /** Of the Cluster (`spec.role`): in it machines run. */
  readonly role: string;
  readonly hostRole: string;
  /** The executor's `root`. */
  readonly root: string;
  /** Holds what a monitor remembers. */
  readonly stateDir: string;
  /** The executor's own resources (`spec.executor` of the Cluster). */
  readonly share: Amounts;
  readonly policy: Policy;
}

export const defaultSettings: Settings = Object.freeze({
  role: 'computefactory',
  hostRole: 'host-services',
  root: '/var/lib/computefactory',
  stateDir: '/var/lib/computefactory-monitor',
  share: { cpus: 500, mem: 512, disk: 0 },
  policy: defaultPolicy,
});

type Json = Readonly<Record<string, unknown>>;

/** Reads and checks the file; defaults without one. Throws UsageError with the file, the field and what it should be. */
export function readSettings(file: string | undefined): Settings {
  if (file === undefined) return defaultSettings;
  try {
    return parseSettings(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new UsageError(`Cannot use ${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Throws Error naming the first field that is unknown or of the wrong form. */
export function parseSettings(value: unknown): Settings {
  const settings = merged('', defaultSettings as unknown as Json, value) as unknown as Settings;
  for (const field of ['root', 'stateDir'] as const)
    if (!isAbsolute(settings[field])) throw new Error(`${field} must be an absolute path, not ${settings[field]}`);
  for (const field of ['role', 'hostRole'] as const)
    if (!/^[^\s/*.-][^\s/*]*$/.test(settings[field]))
      throw new Error(`${field} must be the name of a role of Mesos, not ${JSON.stringify(settings[field])}`);
  if (settings.role === settings.hostRole)
    throw new Error('role and hostRole must differ: nothing may run in the latter');
  requireSane(settings);
  return settings;
}

function requireSane({ policy, share }: Settings): void {
  const { evict, sampleMs, changeMs, closeAfterMs, evictAfterMs, headRoom } = policy;
  if (evict !== 'Drain' && evict !== 'Never') throw new Error('policy.evict must be "Drain" or "Never"');
  if (sampleMs < 1000) throw new Error('policy.sampleMs must be 1000 or more');
  if (changeMs < sampleMs) throw new Error('policy.changeMs must not be less than policy.sampleMs');
  if (evictAfterMs < closeAfterMs) throw new Error('policy.evictAfterMs must not be less than policy.closeAfterMs');
  const { giveStep, takeStep } = policy;
  const parts = { ...headRoom.ofHost, giveStep, takeStep };
  for (const [name, part] of Object.entries(parts))
    if (part > 1) throw new Error(`policy: ${name} is a share of the host, at most 1, not ${part}`);
  for (const [name, amount] of Object.entries(share))
    if (!Number.isInteger(amount)) throw new Error(`share.${name} must be a whole number, not ${amount}`);
}

/** What is given over what is not; only fields that there are, of the kind they have. */
function merged(path: string, defaults: Json, value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${path || 'it'} must be a JSON object`);
  const known = Object.keys(defaults);
  const result: Record<string, unknown> = { ...defaults };
  for (const [name, given] of Object.entries(value)) {
    const [field, fallback] = [path ? `${path}.${name}` : name, defaults[name]];
    if (!known.includes(name)) throw new Error(`there is no field "${field}"; known are ${known.join(', ')}`);
    if (typeof fallback === 'object') result[name] = merged(field, fallback as Json, given);
    else if (typeof given !== typeof fallback || (typeof given === 'number' && !(given >= 0)))
      throw new Error(`${field} must be ${typeof fallback === 'number' ? 'a number, 0 or more' : 'a text'}`);
    else result[name] = given;
  }
  return result;
}
