import type { WebSocket } from 'ws';
import { machineNamed, servicePath } from '../machine.ts';
import type { Output } from '../output.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';
import { openWebSocket, refusalOf } from '../web-socket.ts';

/** Control-] as in telnet and virsh: no guest needs it. */
const leaveKey = 0x1d;

export const consoleVerb: Verb = {
  name: 'console',
  summary: 'Sit at the serial console of a machine',
  help: `Usage: factoryctl console NAME [flags]

Examples:
  factoryctl console real-0 -n studio-a
  factoryctl console real-0 -n studio-a --read-only

Flags:
      --read-only        See what is printed and type nothing
${connectionHelp}

Of several who sit at one console the last to come types; the others read along until it leaves. Leave with Control-]. Without a terminal it copies standard input to the machine and the machine's output to standard output
until standard input ends.`,
  async run(args, out) {
    const options = { ...connectionFlags, 'read-only': { type: 'boolean' } } as const;
    const { values, positionals } = parseFlags('console', args, options);
    const name = machineNamed(positionals, 'console');
    const session = connect(values);
    const path = servicePath(session, name, 'console');
    return await attach(await openWebSocket(session, values['read-only'] ? `${path}?readOnly=true` : path), name, out);
  },
};

function attach(socket: WebSocket, name: string, out: Output): Promise<number> {
  const { stdin, stdout } = process;
  let refused = false;
  return new Promise((resolve) => {
    const end = (code: number) => {
      if (stdin.isTTY) stdin.setRawMode(false);
      stdin.pause();
      socket.close();
      resolve(code);
    };
    socket.on('open', () => {
      if (stdin.isTTY) {
        out.progress(`Connected to ${name}; leave with Control-]`);
        out.line('');
        stdin.setRawMode(true);
      }
      stdin.on('data', (bytes: Buffer) => {
        const leaveAt = stdin.isTTY ? bytes.indexOf(leaveKey) : -1;
        if (leaveAt !== 0) socket.send(leaveAt < 0 ? bytes : bytes.subarray(0, leaveAt));
        if (leaveAt >= 0) end(exit.ok);
      });
      stdin.on('end', () => end(exit.ok));
    });
    socket.on('message', (data: Buffer) => stdout.write(data));
    socket.on('close', (_code, reason: Buffer) => {
      if (reason.length > 0) out.error(`The console of ${name} has ended: ${reason}`);
      end(reason.length > 0 ? exit.failed : exit.ok);
    });
    socket.on('unexpected-response', (_request, response) => {
      // Closing a socket that never opened is reported as an error too: the refusal is what there is to say.
      refused = true;
      void refusalOf(response).then((why) => {
        out.error(`Cannot open the console of ${name}: ${why}`);
        end(exit.failed);
      });
    });
    socket.on('error', (error) => {
      if (refused) return;
      out.error(`The console of ${name} was cut: ${error.message}`);
      end(exit.failed);
    });
  });
}
