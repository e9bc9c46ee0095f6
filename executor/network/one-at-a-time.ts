/** Runs what it is given one after the other, in the order of the calls. A failure is its caller's alone. */
export function oneAtATime(): <T>(body: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (body) => {
    const result = last.then(body);
    last = result.catch(() => undefined); // told to the caller, not to the next one
    return result;
  };
}
