import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BrokenWatch, type WatchEvent, WatchLines } from '../../src/source/kube/watch-lines.ts';

const event = (name: string): WatchEvent => ({ type: 'ADDED', object: { metadata: { name } } });

/** What comes of a body that arrives in these chunks. */
function read(chunks: readonly Uint8Array[]): WatchEvent[] {
  const lines = new WatchLines();
  return chunks.flatMap((chunk) => [...lines.read(Buffer.from(chunk))]);
}

describe('the body of a watch', () => {
  const events = [event('a'), event('ü€😀'), { type: 'BOOKMARK', object: {} }, event('x'.repeat(300))];
  const body = Buffer.from(events.map((one) => `${JSON.stringify(one)}\n`).join(''));

  test('in one piece, and byte by byte', () => {
    expect(read([body])).toEqual(events);
    expect(read([...body].map((byte) => Uint8Array.of(byte)))).toEqual(events);
  });

  test('cut in two at every byte', () => {
    for (let at = 0; at <= body.length; at++) expect(read([body.subarray(0, at), body.subarray(at)])).toEqual(events);
  });

  test('cut anywhere, as often as may be', () => {
    const names = fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }), { maxLength: 6 });
    fc.assert(
      fc.property(names, fc.array(fc.nat(200), { maxLength: 20 }), (some, cuts) => {
        const wanted = some.map(event);
        const whole = Buffer.from(wanted.map((one) => `${JSON.stringify(one)}\n`).join(''));
        const chunks: Buffer[] = [];
        let from = 0;
        for (const length of [...cuts, whole.length]) {
          chunks.push(whole.subarray(from, from + length));
          from += length;
        }
        expect(read(chunks)).toEqual(wanted);
      }),
    );
  });

  test('what has no end is no event; every prefix has the whole ones', () => {
    const ends = [...body.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at);
    for (let at = 0; at <= body.length; at++) {
      expect(read([body.subarray(0, at)])).toHaveLength(ends.filter((end) => end < at).length);
    }
  });

  test('empty lines are passed over', () => {
    expect(read([Buffer.from(`\n\n${JSON.stringify(event('a'))}\n\n`)])).toEqual([event('a')]);
  });

  test.each([
    ['garbage', 'x'],
    ['half an object', '{"type":"ADDED","object":{'],
    ['a number', '7'],
    ['null', 'null'],
    ['a list', '[]'],
    ['no type', '{"object":{}}'],
    ['a type that is a number', '{"type":1,"object":{}}'],
    ['no object', '{"type":"ADDED"}'],
    ['an object that is null', '{"type":"ADDED","object":null}'],
    ['an object that is a text', '{"type":"ADDED","object":"x"}'],
  ])('%s breaks it; what came before counts', (_name, line) => {
    const lines = new WatchLines();
    const seen: WatchEvent[] = [];
    const chunk = Buffer.from(`${JSON.stringify(event('a'))}\n${line}\n${JSON.stringify(event('b'))}\n`);
    expect(() => {
      for (const one of lines.read(chunk)) seen.push(one);
    }).toThrow(BrokenWatch);
    expect(seen).toEqual([event('a')]);
  });

  test('a line without end is given up', () => {
    const lines = new WatchLines();
    const megabyte = Buffer.alloc(1 << 20, 'x');
    expect(() => {
      for (let i = 0; i < 33; i++) expect([...lines.read(megabyte)]).toEqual([]);
    }).toThrow(BrokenWatch);
  });

  test('a great object in many chunks takes no time', () => {
    const name = 'x'.repeat(8 << 20);
    const whole = Buffer.from(`${JSON.stringify(event(name))}\n`);
    const chunks = Array.from({ length: Math.ceil(whole.length / 4096) }, (_, i) =>
      whole.subarray(i * 4096, (i + 1) * 4096),
    );
    expect(read(chunks)).toEqual([event(name)]);
  });
});
