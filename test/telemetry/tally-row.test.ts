import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addRow,
  Column,
  columnCount,
  emptyRow,
  type RowsByKey,
  retireRows,
  rowsPerMessage,
  summedRows,
  takeRows,
} from '../../src/telemetry/tally-row.ts';

function rowOf(begun: number, active = 0): number[] {
  const row = emptyRow();
  row[Column.begun] = begun;
  row[Column.active] = active;
  return row;
}

function sumOf(maps: readonly RowsByKey[]): RowsByKey {
  const sums: RowsByKey = new Map();
  for (const rows of summedRows(maps)) takeRows(sums, rows);
  return sums;
}

describe('rows', () => {
  test('no column has two meanings', () => {
    const taken = Object.entries(Column).flatMap(([name, at]) => {
      const width = name === 'codes' ? 6 : name === 'durations' ? 9 : 1;
      return Array.from({ length: width }, (_, i) => at + i);
    });
    expect(taken).toEqual(Array.from({ length: columnCount }, (_, i) => i));
  });

  test('of an ended worker only what it counted is added', () => {
    const sum = rowOf(1, 1);
    addRow(sum, rowOf(10, 10), 'ended');
    expect([sum[Column.begun], sum[Column.active]]).toEqual([11, 1]);
    addRow(sum, rowOf(10, 10), 'living');
    expect([sum[Column.begun], sum[Column.active]]).toEqual([21, 11]);
  });

  test('a restart does not take anything back (Route semantics 8.19 U9)', () => {
    const retired: RowsByKey = new Map();
    const shown = (now: number): number => sumOf([retired, new Map([['n/r', rowOf(now)]])]).get('n/r')?.[0] ?? 0;
    expect([shown(236), shown(241)]).toEqual([236, 241]);
    retireRows(retired, new Map([['n/r', rowOf(241)]]));
    expect([shown(3), shown(4)]).toEqual([244, 245]);
    retireRows(retired, new Map([['n/r', rowOf(4)]]));
    expect(shown(1)).toBe(246);
  });

  test('many travel in several messages', () => {
    const rows: RowsByKey = new Map(Array.from({ length: 2 * rowsPerMessage + 1 }, (_, i) => [`n/${i}`, rowOf(i)]));
    expect([...summedRows([rows])].map(({ keys }) => keys.length)).toEqual([rowsPerMessage, rowsPerMessage, 1]);
    expect(sumOf([rows])).toEqual(rows);
  });

  test('who reads while a worker dies sees neither more nor less', () => {
    const retired: RowsByKey = new Map([['n/a', rowOf(5)]]);
    const worker: RowsByKey = new Map([
      ['n/a', rowOf(2)],
      ['n/b', rowOf(3)],
    ]);
    const reading = summedRows([new Map(retired), worker]);
    retireRows(retired, worker);
    const sums: RowsByKey = new Map();
    for (const rows of reading) takeRows(sums, rows);
    expect(sums).toEqual(
      new Map([
        ['n/a', rowOf(7)],
        ['n/b', rowOf(3)],
      ]),
    );
  });
});

test('whatever workers report, and whenever they die, the sums are those of a simple model and never sink', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('count' as const), worker: fc.nat(2), route: fc.nat(4), more: fc.nat(100) }),
    fc.record({ kind: fc.constant('report' as const), worker: fc.nat(2) }),
    fc.record({ kind: fc.constant('die' as const), worker: fc.nat(2) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const retired: RowsByKey = new Map();
      const told: RowsByKey[] = [new Map(), new Map(), new Map()];
      const counting: RowsByKey[] = [new Map(), new Map(), new Map()];
      // What has been reported at any time counts for ever; what dies before that does not.
      const model = new Map<string, number>();
      const unreported: Map<string, number>[] = [new Map(), new Map(), new Map()];
      let before = 0;
      for (const one of events) {
        const { worker } = one;
        const mine = counting[worker] ?? new Map();
        if (one.kind === 'count') {
          const key = `n/${one.route}`;
          const row = mine.get(key) ?? emptyRow();
          row[Column.begun] = (row[Column.begun] ?? 0) + one.more;
          mine.set(key, row);
          unreported[worker]?.set(key, (unreported[worker]?.get(key) ?? 0) + one.more);
        } else if (one.kind === 'report') {
          for (const rows of summedRows([mine])) takeRows(told[worker] ?? new Map(), rows);
          for (const [key, more] of unreported[worker] ?? []) model.set(key, (model.get(key) ?? 0) + more);
          unreported[worker]?.clear();
        } else {
          retireRows(retired, told[worker] ?? new Map());
          told[worker] = new Map();
          counting[worker] = new Map();
          unreported[worker]?.clear();
        }
        const sums = sumOf([new Map(retired), ...told]);
        const total = [...sums.values()].reduce((sum, row) => sum + (row[Column.begun] ?? 0), 0);
        expect(total).toBeGreaterThanOrEqual(before);
        before = total;
        for (const [key, count] of model) expect(sums.get(key)?.[Column.begun] ?? 0).toBe(count);
      }
    }),
  );
});
