/**
 * `body`, at most once at a time: who calls while it runs has it run once more after that, and does not wait. What `body` rejects with goes to who
 * began it, and what was asked meanwhile is then asked no more.
 */
export function onceMore(body: () => Promise<void>): () => Promise<void> {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await body();
      }
    } finally {
      running = false;
    }
  };
}
