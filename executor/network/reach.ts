/**
 * The way of a host's probes to a guest: a small program in the router of the subnet (router.ts), one per try, which carries the bytes of one
 * connection, as a user who owns nothing. So probes come from the gateway's address, which every guest can answer, and the host itself stays
 * outside of its subnets. It costs 5 ms of a processor, and a process for as long as the guest is silent.
 */
import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { confinedUser } from '../confine.ts';
import { type GuestConnection, MachineError, NoWayError } from '../hypervisor.ts';
import { routerName } from './router.ts';

const wordsMax = 256;

/** Whether the guest takes a connection at the port. MachineError if it does not, in time; any other error is the host's. */
export async function knock(
  network: MachineNetwork,
  port: number,
  signal: AbortSignal,
  netns: string | undefined,
): Promise<void> {
  // Connected, the program becomes one that says nothing and ends.
  const child = connecting(network, port, netns, ['-e', 'true'], 'ignore');
  using _ = killedBy(signal, child);
  const [said, code] = await Promise.all([text(child.stderr!), ended(child)]);
  if (signal.aborted) throw new MachineError(`Nobody answers at port ${port} in time`);
  if (code !== 0) throw problem(port, said) ?? new Error(`busybox nc ends with ${code}`);
}

/** A connection, which may not be there yet. Ends with `signal`. */
export function dial(
  network: MachineNetwork,
  port: number,
  signal: AbortSignal,
  netns: string | undefined,
): GuestConnection {
  const child = connecting(network, port, netns, [], 'pipe');
  const killing = killedBy(signal, child);
  const said = Promise.all([text(child.stderr!), ended(child)]);
  void said.finally(() => killing[Symbol.dispose]()).catch(() => undefined); // told by `problem`
  // A program that ends while it is written to is heard of by `problem`.
  for (const pipe of [child.stdin!, child.stdout!]) pipe.on('error', () => undefined);
  const end = () => void child.kill('SIGKILL');
  return {
    stream: Duplex.from({ readable: child.stdout!, writable: child.stdin! }),
    async problem() {
      end();
      return problem(port, (await said)[0]);
    },
    [Symbol.dispose]: end,
  };
}

/** Throws what of the host is not as it has to be. */
function connecting(
  network: MachineNetwork,
  port: number,
  netns: string | undefined,
  more: readonly string[],
  pipe: 'pipe' | 'ignore',
) {
  const { vni, subnet, gateway, segment, ip } = network;
  if (segment)
    throw new NoWayError(
      `Subnet ${subnet} is a network of the site, where the gateway's address is not the host's to probe from: probe by guestAgent or exec`,
    );
  if (gateway === '')
    throw new NoWayError(
      `Subnet ${subnet} has no gateway, whose address probes by tcp and http come from: give it one, or probe by guestAgent or exec`,
    );
  const user = String(confinedUser);
  const enter = [`--net=/run/netns/${routerName(vni, netns)}`, '--setgid', user, '--setuid', user];
  const env = { PATH: process.env.PATH, LC_ALL: 'C' };
  return spawn('nsenter', [...enter, 'busybox', 'nc', ip, String(port), ...more], { stdio: [pipe, pipe, 'pipe'], env });
}

type Child = ReturnType<typeof connecting>;

function killedBy(signal: AbortSignal, child: Child): Disposable {
  const kill = () => void child.kill('SIGKILL');
  if (signal.aborted) kill();
  signal.addEventListener('abort', kill, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', kill) };
}

function ended(child: Child): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}

/** The guest's own refusal, or what hinders the host. Undefined if the connection stood. */
function problem(port: number, said: string): Error | undefined {
  const words = said.trim().slice(0, wordsMax);
  if (words === '') return undefined;
  if (/Connection refused/.test(words)) return new MachineError(`Nothing listens at port ${port}`);
  if (/Connection reset/.test(words)) return new MachineError(`The connection to port ${port} was reset`);
  if (/timed out|No route to host/.test(words)) return new MachineError(`Nobody answers at port ${port}`);
  return new Error(words);
}
