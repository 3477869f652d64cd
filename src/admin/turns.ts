// Long work of the admin port in short pieces: the process that watches the cluster has other things to do in between.

/** How long the event loop is held, in ms: a tenth of what a change may take to be in force. */
export const turnMs = 5;

/** Runs a generator to its end; at each yield it may have to let others go first. */
export async function inTurns<T>(work: Generator<undefined, T>): Promise<T> {
  let began = performance.now();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (performance.now() - began < turnMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    began = performance.now();
  }
}
