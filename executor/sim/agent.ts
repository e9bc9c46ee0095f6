/** The agent of an imitated guest: it is there, knows its addresses, and its shell runs three programs: echo, true and false. */
import { type AgentCommand, MachineError } from '../hypervisor.ts';
import type { SimNics } from './devices.ts';

/** Of programs that have ended and were not asked for. */
const endedMax = 64;

interface Ended {
  readonly exitCode: number;
  readonly output: string;
}

export class SimAgent {
  readonly #ended = new Map<number, Ended>();
  #pid = 1;

  /** Throws MachineError for what it does not know, as the real one does. */
  answer({ execute, arguments: args = {} }: AgentCommand, nics: SimNics | undefined): unknown {
    switch (execute) {
      case 'guest-ping':
        return {};
      case 'guest-info':
        return { version: '0.0.0', supported_commands: [] };
      case 'guest-get-osinfo':
        return { id: 'imitated', name: 'Imitated guest', 'pretty-name': 'Imitated guest', machine: 'x86_64' };
      case 'guest-network-get-interfaces':
        return (nics?.networks ?? []).map(({ ip, mac, prefix }, index) => ({
          name: `eth${index}`,
          'hardware-address': mac,
          'ip-addresses': [{ 'ip-address': ip, 'ip-address-type': 'ipv4', prefix }],
        }));
      case 'guest-exec':
        return this.#run(String(args.path), (args.arg ?? []) as readonly string[]);
      case 'guest-exec-status':
        return this.#status(Number(args.pid));
      default:
        throw new MachineError(`The guest agent refuses: The command ${execute} has not been found`);
    }
  }

  /** `sh -c SCRIPT sh BYTES` is before every command (agent/run-command.ts). */
  #run(shell: string, words: readonly string[]): { readonly pid: number } {
    const [program = '', ...args] = words.slice(4);
    const programs: Readonly<Record<string, Ended>> = {
      echo: { exitCode: 0, output: `${args.join(' ')}\n` },
      true: { exitCode: 0, output: '' },
      false: { exitCode: 1, output: '' },
    };
    if (shell !== 'sh') throw new MachineError(`The guest agent refuses: Failed to execute child process “${shell}”`);
    const ended = Object.hasOwn(programs, program) ? programs[program] : undefined;
    this.#pid += 1;
    this.#ended.set(this.#pid, ended ?? { exitCode: 127, output: '' });
    if (this.#ended.size > endedMax) this.#ended.delete(this.#ended.keys().next().value!);
    return { pid: this.#pid };
  }

  #status(pid: number): unknown {
    const ended = this.#ended.get(pid);
    if (!ended) throw new MachineError('The guest agent refuses: PID does not exist');
    this.#ended.delete(pid);
    const { exitCode, output } = ended;
    return {
      exited: true,
      exitcode: exitCode,
      ...(output ? { 'out-data': Buffer.from(output).toString('base64') } : {}),
    };
  }
}
