// Writing past the stream machinery: the same bytes in the same order, whatever the kernel takes at once.

import { once } from 'node:events';
import { expect, test } from 'vitest';
import { DirectWriter } from '../../src/proxy/direct-write.ts';
import { socketPair } from '../support/socket-pair.ts';

test.each([
  ['plain', false],
  ['TLS', true],
] as const)('small and large pieces, text and bytes, to a reader that comes late: %s', async (_title, isTls) => {
  const [client, accepted] = await socketPair(isTls);
  const writer = new DirectWriter(accepted);
  const sent: Buffer[] = [];
  let isFull = false;
  // Far more than the kernel takes: some pieces are taken whole, one in part, the rest has to wait in the stream.
  for (let i = 0; i < 3000; i++) {
    const piece = Buffer.alloc(i % 97 === 0 ? 40_000 : 4000, `${i} `);
    sent.push(piece);
    const taken = i % 2 === 0 ? writer.write(piece) : writer.write(piece.toString('latin1'));
    isFull ||= !taken;
  }
  expect(isFull).toBe(true);
  const drained = once(accepted, 'drain');
  const received: Buffer[] = [];
  client.on('data', (chunk: Buffer) => received.push(chunk));
  await drained;
  expect(writer.write('the end')).toBe(true);
  accepted.end();
  await once(client, 'end');
  client.destroy();
  const all = Buffer.concat([...sent, Buffer.from('the end')]);
  expect(Buffer.concat(received).equals(all)).toBe(true);
});

test.each([
  ['plain', false, ['copied', 'kept', 'refused', 'returned']],
  // What TLS has encrypted is free.
  ['TLS', true, ['copied', 'refused', 'returned']],
] as const)(
  'what was lent and came back, or was copied, may be overwritten at once; what was kept may not: %s',
  async (_title, isTls, expected) => {
    const [client, accepted] = await socketPair(isTls);
    const writer = new DirectWriter(accepted);
    const outcomes = new Set<string>();
    const sent: Buffer[] = [];
    let scratch = Buffer.alloc(60_000);
    for (let i = 0; i < 600; i++) {
      const piece = scratch.subarray(0, i % 3 === 0 ? 9000 : 60_000);
      piece.fill(`${i} `);
      const copy = Buffer.from(piece);
      const isCopied = piece.length === 9000 && writer.writeCopy(piece);
      const outcome = isCopied ? 'copied' : writer.lend(piece);
      outcomes.add(outcome);
      if (outcome === 'kept') scratch = Buffer.alloc(60_000);
      // Refused: the way for this is the stream, which takes its time.
      else if (outcome === 'refused') writer.write(Buffer.from(piece));
      sent.push(copy);
      scratch.fill('overwritten');
      if (i % 5 === 4) await new Promise((resolve) => setImmediate(resolve));
    }
    expect([...outcomes].sort()).toEqual(expected);
    const received: Buffer[] = [];
    client.on('data', (chunk: Buffer) => received.push(chunk));
    accepted.end();
    await once(client, 'end');
    client.destroy();
    expect(Buffer.concat(received).equals(Buffer.concat(sent))).toBe(true);
  },
);

test('TLS: what the stream is given behind a direct write, its end too, comes in order', async () => {
  const [client, accepted] = await socketPair(true);
  const writer = new DirectWriter(accepted);
  const received: Buffer[] = [];
  client.on('data', (chunk: Buffer) => received.push(chunk));
  writer.write('one ');
  accepted.write('two ');
  accepted.cork();
  accepted.write('three ');
  accepted.write('four ');
  accepted.uncork();
  accepted.end('five');
  await once(client, 'end');
  expect(Buffer.concat(received).toString()).toBe('one two three four five');
  client.destroy();
});

test('a peer that is gone: the socket closes, and nothing is thrown', async () => {
  const [client, accepted] = await socketPair(false);
  const writer = new DirectWriter(accepted);
  accepted.on('error', () => {});
  client.resetAndDestroy();
  const closed = new Promise((done) => accepted.once('close', done));
  while (!accepted.destroyed) {
    writer.write('x');
    await new Promise((resolve) => setImmediate(resolve));
  }
  await closed;
  writer.write('too late');
  expect(accepted.destroyed).toBe(true);
});
