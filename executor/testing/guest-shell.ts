/** The guest's serial console as a test uses it. */
import { connect } from 'node:net';
import { expect, vi } from 'vitest';
import type { DomainSpec } from '../hypervisor.ts';

let commands = 0;

/**
 * Types a command on the guest's serial console and returns what it printed. One that does not end in time is interrupted: a line that lost a quotation
 * mark on its way leaves the shell waiting for it, whatever is typed after it.
 */
export async function shell(
  { consoleSocket }: Pick<DomainSpec, 'consoleSocket'>,
  command: string,
  timeout = 60_000,
): Promise<string> {
  commands += 1;
  // The echo of the typed line must not look like the end of the command.
  const end = `END-${commands}`;
  const socket = connect(consoleSocket);
  let output = '';
  socket.setEncoding('latin1').on('data', (text: string) => (output += text));
  socket.write(`${command}; echo END"-"${commands}\n`);
  try {
    await vi.waitFor(() => expect(output).toContain(end), timeout);
    return output;
  } catch (error) {
    await new Promise<void>((resolve) => void socket.write('\x03', () => resolve()));
    throw error;
  } finally {
    socket.destroy();
  }
}
