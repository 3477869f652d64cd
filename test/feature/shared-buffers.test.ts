// Buffers are read into again as soon as their bytes have gone on. Many bodies on their way at once, each with content of its
// own, between peers that are slow now and then: none may be found in another.

import type { IncomingMessage } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { hashOf, host, Pair, pairings } from '../support/http2-peers/pairings.ts';
import { WebClient } from '../support/http2-peers/web-client.ts';
import type { Handler } from '../support/http2-peers/web-pod.ts';

/** Around the sizes of reads, of TLS records and of what is written at once. */
const sizes = [1, 700, 16_000, 16_383, 16_384, 16_385, 40_000, 65_300, 65_536, 65_537, 98_304, 200_000];
const clientsAtOnce = 8;

/** Turns of the event loop to wait, so that connections fill up, wait for the pod, or find the other one waiting. */
const delays = [0, 0, 1, 3, 0, 7];

test.each(pairings)('$client to $pod', async ({ client: kind, pod }) => {
  await using pair = await Pair.start({ client: kind, pod }, echoes);
  const others = await Promise.all(
    Array.from({ length: clientsAtOnce - 1 }, () => WebClient.connect(kind, pair.plane, host)),
  );
  const echo = async (client: WebClient, number: number): Promise<void> => {
    for (let i = 0; i < sizes.length; i++) {
      const size = sizes[(i + number) % sizes.length] ?? 1;
      const body = contentOf(size, number * 100 + i);
      const answer = await client.get({ method: 'POST', path: `/${delays[(i * 5 + number) % delays.length]}`, body });
      expect([answer.status, answer.length, answer.hash]).toEqual([200, size, hashOf(body)]);
    }
  };
  await Promise.all([pair.client, ...others].map(echo));
  await Promise.all(others.map((client) => client[Symbol.asyncDispose]()));
});

/** Waits as long as the path says, reads, waits again, and answers with what came. */
const echoes: Handler = async (request, response) => {
  const turns = Number(request.url?.slice(1));
  for (let i = 0; i < turns; i++) await turn();
  const body = await bodyOf(request);
  for (let i = 0; i < turns; i++) await turn();
  response.writeHead(200, { 'content-length': body.length });
  response.end(body);
};

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Content in which every four bytes say whose they are and where they stand. */
function contentOf(size: number, number: number): Buffer {
  const bytes = Buffer.alloc(size + 4);
  for (let at = 0; at < size; at += 4) bytes.writeUInt32BE(((number << 18) + at) >>> 0, at);
  return bytes.subarray(0, size);
}
