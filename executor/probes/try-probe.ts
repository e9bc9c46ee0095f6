/**
 * One try of one probe. What counts is what the guest says or leaves unsaid; what hinders the host says nothing of the guest, and is told
 * apart.
 */
import type { LaunchProbe, MachineNetwork } from '#lib/api/launch.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { runCommand } from '../agent/run-command.ts';
import { type HostDevices, type Hypervisor, MachineError, NoWayError } from '../hypervisor.ts';
import { askStatus } from './http-status.ts';

const wordsMax = 256;
/** A command in a guest takes some steps of its own around its time; beyond that it was the host that did not get on. */
const slackMs = 20_000;

export interface Finding {
  /** Unknown: the host could not find out. */
  readonly outcome: 'Succeeded' | 'Failed' | 'Unknown';
  /** Why it is not `Succeeded`, for the machine's user. */
  readonly message: string;
  /** The same, for who sees to the host. */
  readonly reason?: string;
}

const cannotAsk = 'The host cannot ask the guest now';

export interface TryDeps {
  readonly hypervisor: Pick<Hypervisor, 'agent'>;
  readonly devices: Pick<HostDevices, 'knock' | 'dial'>;
  readonly clock: Clock;
}

export interface Tried {
  readonly uid: string;
  /** The machine's first. */
  readonly network: MachineNetwork | undefined;
}

export async function tryProbe(
  deps: TryDeps,
  machine: Tried,
  probe: LaunchProbe,
  signal: AbortSignal,
): Promise<Finding> {
  const { clock } = deps;
  const since = clock.monotonic();
  const finding = await attempt(deps, machine, probe, signal);
  const tookMs = clock.monotonic() - since;
  if (finding.outcome !== 'Failed' || tookMs <= probe.timeoutMs + slackMs) return finding;
  const reason = `The host was too busy to find out: it took ${Math.round(tookMs / 1000)} s`;
  return { outcome: 'Unknown', message: cannotAsk, reason };
}

async function attempt(deps: TryDeps, machine: Tried, probe: LaunchProbe, signal: AbortSignal): Promise<Finding> {
  try {
    const failure = await failureOf(deps, machine, probe, signal);
    return failure === undefined ? { outcome: 'Succeeded', message: '' } : { outcome: 'Failed', message: failure };
  } catch (error) {
    if (error instanceof MachineError) return { outcome: 'Failed', message: error.message.slice(0, wordsMax) };
    const reason = messageOf(error);
    return { outcome: 'Unknown', message: error instanceof NoWayError ? reason : cannotAsk, reason };
  }
}

/** What the guest says that is not right; undefined if it is. */
async function failureOf(
  deps: TryDeps,
  machine: Tried,
  probe: LaunchProbe,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { hypervisor, clock } = deps;
  const { command, tcp, http, timeoutMs } = probe;
  if (tcp || http) return await atAddress(deps, machine, probe, signal);
  if (!command) {
    await hypervisor.agent(machine.uid, { execute: 'guest-ping' }, timeoutMs);
    return undefined;
  }
  const asked = { command, timeoutSeconds: Math.max(1, Math.ceil(timeoutMs / 1000)) };
  const { exitCode, stdout, stderr } = await runCommand({ hypervisor, clock, signal }, machine.uid, asked);
  return exitCode === 0 ? undefined : `The command ended with ${exitCode}${said(stderr) || said(stdout)}`;
}

async function atAddress(
  { devices, clock }: TryDeps,
  { network }: Tried,
  { tcp, http, timeoutMs }: LaunchProbe,
  stopped: AbortSignal,
): Promise<string | undefined> {
  if (!network) throw new NoWayError('The machine has no network at which it could be probed');
  const late = new AbortController();
  using _ = clock.timeout(() => late.abort(), timeoutMs);
  const signal = AbortSignal.any([stopped, late.signal]);
  if (tcp) {
    await devices.knock(network, tcp.port, signal);
    return undefined;
  }
  if (!http) return undefined;
  using connection = devices.dial(network, http.port, signal);
  try {
    const status = await askStatus(connection.stream, network.ip, http, signal);
    return status >= 200 && status < 400 ? undefined : `The answer has the status ${status}`;
  } catch (error) {
    const problem = await connection.problem();
    if (problem && !(problem instanceof MachineError)) throw problem;
    if (late.signal.aborted) throw new MachineError(`No answer from port ${http.port} in time`, { cause: error });
    // What a stream that broke says of itself is of the guest: a way that was not there has words of its own.
    throw problem ?? new MachineError(messageOf(error), { cause: error });
  }
}

/** Its last words, without what a terminal would make of them. */
function said(base64: string): string {
  const text = Buffer.from(base64, 'base64')
    .toString('utf8')
    .replaceAll(/\p{C}+/gu, ' ')
    .trim();
  return text === '' ? '' : `: ${text.slice(-wordsMax)}`;
}
