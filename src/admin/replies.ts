// Answers of the admin port: a text, a JSON value, or a long JSON array a piece at a time.

import type { ServerResponse } from 'node:http';

/** Entries rendered in one turn of the event loop. */
const entriesPerTurn = 200;

/** Answers with a text; plain unless the response has a content type already. */
export function answer(response: ServerResponse, status: number, text: string): void {
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.writeHead(status, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-length': Buffer.byteLength(text),
  });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

/** Answers with a JSON value. */
export function answerJson(response: ServerResponse, status: number, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  answer(response, status, `${JSON.stringify(value, null, 2)}\n`);
}

/** Answers with a JSON array, a piece at a time: ten thousand Routes must not stall whoever watches the cluster. */
export async function streamJson(response: ServerResponse, entries: Iterable<unknown>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  let text = '[';
  let count = 0;
  for (const entry of entries) {
    text += `${count === 0 ? '' : ','}\n${JSON.stringify(entry)}`;
    if (++count % entriesPerTurn === 0) {
      const flushed = response.write(text);
      text = '';
      if (!flushed) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
      else await new Promise((resolve) => setImmediate(resolve));
      if (response.destroyed) return;
    }
  }
  response.end(`${text}\n]\n`);
}
