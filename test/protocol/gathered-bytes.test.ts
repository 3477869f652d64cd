import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addPiece, GatheredBytes } from '../../src/protocol/gathered-bytes.ts';

describe('gathered bytes', () => {
  test('begin with nothing', () => {
    const gathered = new GatheredBytes();
    expect(gathered.length).toBe(0);
    expect(gathered.take()).toEqual(Buffer.alloc(0));
    expect(gathered.take()).toEqual(Buffer.alloc(0));
  });

  test('are the first piece itself, without a copy', () => {
    const gathered = new GatheredBytes();
    const piece = Buffer.from('abc');
    expect(gathered.append(piece)).toBe(piece);
    expect(gathered.take()).toBe(piece);
    expect(gathered.length).toBe(0);
  });

  test('never write into a piece that is another’s', () => {
    const memory = Buffer.from('abcdef');
    const gathered = new GatheredBytes();
    gathered.append(memory.subarray(0, 2));
    expect(gathered.append(Buffer.from('XY')).toString()).toBe('abXY');
    expect(memory.toString()).toBe('abcdef');
  });

  test('leave alone what was answered or taken before', () => {
    const gathered = new GatheredBytes();
    gathered.append(Buffer.from('ab'));
    const early = gathered.append(Buffer.from('cd'));
    gathered.append(Buffer.alloc(5000, 0x78));
    const taken = gathered.take();
    gathered.append(Buffer.from('zz'));
    gathered.append(Buffer.alloc(5000, 0x79));
    expect(early.toString()).toBe('abcd');
    expect(taken.toString()).toBe(`abcd${'x'.repeat(5000)}`);
    expect(gathered.length).toBe(5002);
  });

  test('take up memory in proportion to what came, and are seldom copied', () => {
    const gathered = new GatheredBytes();
    const homes = new Set<ArrayBufferLike>();
    const piece = Buffer.from('x');
    let largest = 0;
    for (let i = 0; i < 20_000; i++) {
      const { buffer } = gathered.append(piece);
      homes.add(buffer);
      if (i > 0) largest = Math.max(largest, buffer.byteLength);
    }
    expect(gathered.take().toString()).toBe('x'.repeat(20_000));
    expect(largest).toBeLessThan(2 * 20_000);
    expect(homes.size).toBeLessThan(8);
  });

  test('equal a plain concatenation, whatever is appended and taken', () => {
    const piece = fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.array(fc.option(piece, { freq: 5 }), { maxLength: 12 }), (steps) => {
        const gathered = new GatheredBytes();
        const answers: { readonly answered: Buffer; readonly expected: Buffer }[] = [];
        let model = Buffer.alloc(0);
        for (const step of steps) {
          if (step === null) {
            answers.push({ answered: gathered.take(), expected: model });
            model = Buffer.alloc(0);
          } else {
            model = Buffer.concat([model, step]);
            answers.push({ answered: gathered.append(step), expected: model });
          }
          expect(gathered.length).toBe(model.length);
        }
        for (const { answered, expected } of answers) expect(answered.equals(expected)).toBe(true);
      }),
    );
  });
});

describe('pieces that wait', () => {
  test('are what was added, in order', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 6_000 })), (added) => {
        const pieces: Buffer[] = [];
        for (const piece of added) addPiece(pieces, Buffer.from(piece));
        expect(Buffer.concat(pieces).equals(Buffer.concat(added))).toBe(true);
      }),
    );
  });

  test('are few, however small they came', () => {
    const pieces: Buffer[] = [];
    for (let i = 0; i < 100_000; i++) addPiece(pieces, Buffer.from([i]));
    expect(pieces.length).toBeLessThan(100_000 / 4_096 + 13);
  });

  test('stay as they are where they are large', () => {
    const pieces: Buffer[] = [];
    const large = Buffer.alloc(4_096);
    addPiece(pieces, Buffer.from('a'));
    addPiece(pieces, large);
    addPiece(pieces, Buffer.from('b'));
    expect(pieces).toHaveLength(3);
    expect(pieces[1]).toBe(large);
  });
});
