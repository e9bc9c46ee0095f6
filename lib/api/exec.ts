/** The subresource exec of a virtual machine: a command that the agent in the guest runs. */
export interface ExecRequest {
  /** Program and arguments. No shell is between. */
  readonly command: readonly string[];
  /** How long it is waited for. */
  readonly timeoutSeconds: number;
}

export interface ExecResult {
  readonly apiVersion: 'computefactory.io/v1alpha1';
  readonly kind: 'ExecResult';
  /** 128 and the signal for one that was killed. */
  readonly exitCode: number;
  /** Base64, 1 MiB at most of each. */
  readonly stdout: string;
  readonly stderr: string;
  /** It printed more than that. */
  readonly truncated: boolean;
}

const timeouts = { usual: 30, most: 50 } as const;
/** Linux' own bound on one argument, and far below what all together may have. */
const commandBytesMax = 131_072;
const wordsMax = 1_024;

/** Throws a TypeError that names what is wrong. */
export function readExecRequest(value: unknown): ExecRequest {
  const { command, timeoutSeconds = timeouts.usual } = (value ?? {}) as Record<string, unknown>;
  if (!Array.isArray(command) || command.length === 0 || !command.every((word) => typeof word === 'string'))
    throw new TypeError('command must be a list of strings, the program first');
  if (command[0] === '' || command.some((word: string) => word.includes('\0')))
    throw new TypeError('command must name a program, and no word of it may hold a zero byte');
  if (command.length > wordsMax || Buffer.byteLength(command.join(' ')) > commandBytesMax)
    throw new TypeError(`command must have at most ${wordsMax} words and ${commandBytesMax} bytes`);
  if (!Number.isInteger(timeoutSeconds) || (timeoutSeconds as number) < 1 || (timeoutSeconds as number) > timeouts.most)
    throw new TypeError(`timeoutSeconds must be a whole number from 1 to ${timeouts.most}`);
  return { command: command as string[], timeoutSeconds: timeoutSeconds as number };
}
