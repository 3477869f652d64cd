// Answers of the admin port: a text, a JSON value, or a long text or JSON array a piece at a time.

import type { ServerResponse } from 'node:http';
import { turnMs } from './turns.ts';

/** How much of a text is written at once, in characters. */
const charactersPerWrite = 65_536;
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
      await writeInTurn(response, text);
      text = '';
      if (response.destroyed) return;
    }
  }
  response.end(`${text}\n]\n`);
}

/** Answers with a text that is made while it is sent: as fast as it is read, and never for long at a time. */
export async function streamText(response: ServerResponse, type: string, pieces: Iterable<string>): Promise<void> {
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  let text = '';
  let began = performance.now();
  for (const piece of pieces) {
    text += piece;
    if (text.length < charactersPerWrite && performance.now() - began < turnMs) continue;
    await writeInTurn(response, text);
    if (response.destroyed) return;
    text = '';
    began = performance.now();
  }
  response.end(text);
}

/** Writes, and lets others go before the next piece; waits for a slow reader. */
async function writeInTurn(response: ServerResponse, text: string): Promise<void> {
  if (!response.write(text) && !response.destroyed) await drained(response);
  // A socket that takes everything at once is drained within the same turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}
