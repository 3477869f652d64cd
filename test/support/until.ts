// Waiting for what depends on the API server and on something else that is told of what it sends.

import type { ApiServer } from './api-server/api-server.ts';

/** Resolves when something is so. It is asked again whenever the server sees something, and whenever one of `looks` is called. */
export async function untilSo(
  server: ApiServer,
  looks: Set<() => void>,
  isSo: () => boolean,
  timeoutMs: number,
): Promise<void> {
  let look: () => void = () => {};
  const told = new Promise<void>((done) => {
    look = () => void (isSo() && done());
  });
  looks.add(look);
  look();
  try {
    await Promise.race([told, server.until(isSo, timeoutMs)]);
  } finally {
    looks.delete(look);
  }
}
