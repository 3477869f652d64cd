// ROUTER_BACKEND_PROCESS_ENDPOINTS=shuffle: the same pods in an order that differs from start to start.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EndpointLottery } from '../../src/controller/endpoint-order.ts';
import type { Backend } from '../../src/table/entries.ts';
import { backend } from '../support/rules.ts';

function backendOf(ports: readonly number[]): Backend {
  const change = backend('svc', ports);
  if (change.kind !== 'backend' || change.entry === null) throw new Error('no Backend');
  return change.entry;
}

const ports = fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { maxLength: 20 });

function portsOf(entry: Backend): number[] {
  return entry.endpoints.map(({ port }) => port);
}

test('the same pods, and the same order for as long as it is drawn by the same lot', () => {
  fc.assert(
    fc.property(ports, fc.string(), (listed, lot) => {
      const lottery = new EndpointLottery(lot);
      const shuffled = portsOf(lottery.shuffled(backendOf(listed)));
      expect([...shuffled].sort()).toEqual([...listed].sort());
      expect(portsOf(lottery.shuffled(backendOf(listed.toReversed())))).toEqual(shuffled);
    }),
  );
});

test('a pod that comes or goes leaves the others in their order', () => {
  fc.assert(
    fc.property(ports, fc.string(), (listed, lot) => {
      const lottery = new EndpointLottery(lot);
      const [gone, ...left] = listed;
      const before = portsOf(lottery.shuffled(backendOf(listed)));
      expect(portsOf(lottery.shuffled(backendOf(left)))).toEqual(before.filter((port) => port !== gone));
    }),
  );
});

test('every pod is the first as often as any other', () => {
  const firsts = new Map<number, number>();
  for (let start = 0; start < 4_000; start++) {
    const [first = 0] = portsOf(new EndpointLottery(`start ${start}`).shuffled(backendOf([1, 2, 3, 4])));
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  for (const port of [1, 2, 3, 4]) expect(firsts.get(port)).toBeGreaterThan(900);
});
