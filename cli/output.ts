/** Where the command line writes: a value, so that tests can read it. */
export interface Output {
  /** One line of the answer, to standard output. */
  line(text: string): void;
  /** What is going on, for people: to standard error; on a terminal the next one overwrites it. */
  progress(text: string): void;
  /** What went wrong and what to do, to standard error. */
  error(text: string): void;
  readonly isTerminal: boolean;
}

/** The real streams. Progress on a terminal takes one line that the next output clears. */
export function terminalOutput(): Output {
  const isTerminal = process.stderr.isTTY === true;
  let pending = false;
  const clear = () => {
    if (pending) process.stderr.write('\r\u001b[K');
    pending = false;
  };
  return {
    isTerminal,
    line(text) {
      clear();
      process.stdout.write(`${text}\n`);
    },
    progress(text) {
      clear();
      process.stderr.write(isTerminal ? `${text} …` : `${text}\n`);
      pending = isTerminal;
    },
    error(text) {
      clear();
      process.stderr.write(`${text}\n`);
    },
  };
}
