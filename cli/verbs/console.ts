import { WebSocket } from 'ws';
import { UsageError } from '#lib/std/main.ts';
import type { Output } from '../output.ts';
import { discover, pathOf, resolveTargets } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

/** Control-] as in telnet and virsh: no guest needs it. */
const leaveKey = 0x1d;
const openMs = 15_000;

export const consoleVerb: Verb = {
  name: 'console',
  summary: 'Sit at the serial console of a machine',
  help: `Usage: factoryctl console vm NAME [flags]

Examples:
  factoryctl console vm real-0 -n studio-a

Flags:
${connectionHelp}

Leave with Control-]. Without a terminal it copies standard input to the machine and the machine's output to standard output
until standard input ends.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('console', args, connectionFlags);
    const session = connect(values);
    const targets = resolveTargets(await discover(session), positionals, 'console');
    const target = targets[0]!;
    if (targets.length > 1 || target.resource.kind !== 'VirtualMachine')
      throw new UsageError('A console is of one machine: factoryctl console vm NAME.');
    const socket = await open(session, `${pathOf(target.resource, session.namespace, target.name)}/console`);
    return await attach(socket, target.name, out);
  },
};

async function open({ endpoint }: Session, path: string): Promise<WebSocket> {
  const authorization = await endpoint.authorization?.();
  return new WebSocket(`${endpoint.server.replace(/^http/, 'ws').replace(/\/$/, '')}${path}`, {
    ...(authorization && { headers: { authorization } }),
    ...(endpoint.ca && { ca: endpoint.ca }),
    ...(endpoint.cert && { cert: endpoint.cert }),
    ...(endpoint.key && { key: endpoint.key }),
    rejectUnauthorized: !endpoint.skipTlsVerify,
    handshakeTimeout: openMs,
  });
}

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
    socket.on('close', () => end(exit.ok));
    socket.on('unexpected-response', (_request, response) => {
      // Closing a socket that never opened is reported as an error too: the refusal is what there is to say.
      refused = true;
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        out.error(
          `Cannot open the console of ${name}: ${messageOf(Buffer.concat(chunks).toString(), response.statusCode)}`,
        );
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

/** The server's Status says why in words; anything else is shown as it came. */
function messageOf(text: string, statusCode: number | undefined): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return `the server answered ${statusCode}: ${text.slice(0, 200)}`;
  }
}
