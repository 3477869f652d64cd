import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DesiredEntry,
  desiredEntry,
  entryOf,
  type RouterIdentity,
  says,
  withEntry,
} from '../../src/controller/ingress-entry.ts';
import { rejected, type Verdict } from '../../src/controller/verdict.ts';
import type { IngressEntry } from '../../src/source/manifests.ts';
import { aRoute } from '../support/manifests.ts';

const before = '2024-01-01T00:00:00Z';
const now = '2026-11-21T07:00:00Z';
const us: RouterIdentity = { routerName: 'ours', canonicalHostname: 'router.apps.test' };
const admitted: Verdict = { kind: 'admitted', warnings: [] };
const claimed = rejected('HostAlreadyClaimed', 'route o already exposes a.test and is older');
const route = aRoute('n/r').host('a.test').build();

const condition = (type: string, status: string, more: object = {}): object => ({
  type,
  status,
  lastTransitionTime: before,
  ...more,
});

/** The entry that this router writes of the Route as admitted, with some of it changed. */
function entry(changes: object = {}): IngressEntry {
  return {
    host: 'a.test',
    routerName: 'ours',
    conditions: [condition('Admitted', 'True'), condition('Ready', 'True', { message: 'generation 1' })],
    wildcardPolicy: 'None',
    routerCanonicalHostname: 'router.apps.test',
    ...changes,
  };
}

/** What others have written: fields, types and orders that we would never choose. */
const foreign: readonly IngressEntry[] = [
  {
    conditions: [
      { lastTransitionTime: before, status: 'True', type: 'Admitted', 'x-more': [1, { a: null }] },
      { type: 'UnservableInFutureVersions', status: 'True', reason: 'UpgradeRouteValidationFailed' },
    ],
    routerName: 'default',
    host: 'A.Test',
    wildcardPolicy: '',
    later: { unknown: true },
  },
  { routerName: 'ours2', host: 7, conditions: null },
  { host: 'a.test' },
];

const wanted = (changes: Partial<DesiredEntry> = {}): DesiredEntry => ({
  ...desiredEntry(route, admitted, 1, us),
  ...changes,
});

describe('what an entry should say', () => {
  test('of an admitted Route', () => {
    expect(desiredEntry(route, { kind: 'admitted', warnings: ['look'] }, 7, us)).toEqual({
      host: 'a.test',
      routerName: 'ours',
      canonicalHostname: 'router.apps.test',
      wildcardPolicy: 'None',
      conditions: [
        { type: 'Admitted', status: 'True', reason: '', message: '' },
        { type: 'Ready', status: 'True', reason: '', message: 'generation 7' },
      ],
      wordings: [],
    });
  });

  test('of a rejected one', () => {
    const wild = aRoute('n/r').host('w.a.test').wildcard().build();
    expect(desiredEntry(wild, claimed, 0, { routerName: 'ours', canonicalHostname: '' })).toEqual({
      host: 'w.a.test',
      routerName: 'ours',
      canonicalHostname: '',
      wildcardPolicy: 'Subdomain',
      conditions: [
        {
          type: 'Admitted',
          status: 'False',
          reason: 'HostAlreadyClaimed',
          message: 'route o already exposes a.test and is older',
        },
        { type: 'Ready', status: 'False', reason: '', message: 'generation 0' },
      ],
      wordings: [],
    });
  });
});

describe('whether an entry says what it should (Route semantics 2.5, 8.10)', () => {
  const conditions = (...list: readonly unknown[]): object => ({ conditions: list });
  const [admittedTrue, readyTrue] = [
    condition('Admitted', 'True'),
    condition('Ready', 'True', { message: 'generation 1' }),
  ];
  const cases: readonly (readonly [id: string, entry: IngressEntry | undefined, expected: boolean])[] = [
    ['L1 all right', entry(), true],
    ['L18 no entry', undefined, false],
    ['L2 another host', entry({ host: 'b.test' }), false],
    ['the host in capitals', entry({ host: 'A.test' }), false],
    ['no host', entry({ host: undefined }), false],
    ['L18 another canonical host', entry({ routerCanonicalHostname: 'other.test' }), false],
    ['no canonical host', entry({ routerCanonicalHostname: undefined }), false],
    ['another policy', entry({ wildcardPolicy: 'Subdomain' }), false],
    ['no policy is None', entry({ wildcardPolicy: undefined }), true],
    ['an empty policy is None', entry({ wildcardPolicy: '' }), true],
    ['L18 no conditions', entry({ conditions: undefined }), false],
    ['L18 empty conditions', entry(conditions()), false],
    [
      'L12 only transition times differ',
      entry(
        conditions(condition('Admitted', 'True', { lastTransitionTime: now }), {
          ...readyTrue,
          lastTransitionTime: undefined,
        }),
      ),
      true,
    ],
    ['L12 only the order differs', entry(conditions(readyTrue, admittedTrue)), true],
    [
      'empty texts are as absent',
      entry(conditions(condition('Admitted', 'True', { reason: '', message: '' }), readyTrue)),
      true,
    ],
    [
      'L13 a condition more',
      entry(conditions(admittedTrue, readyTrue, condition('UnservableInFutureVersions', 'True'))),
      false,
    ],
    ['L13 a condition less', entry(conditions(admittedTrue)), false],
    ['L13 another type', entry(conditions(condition('Admitted2', 'True'), readyTrue)), false],
    ['L13 another status', entry(conditions(condition('Admitted', 'False'), readyTrue)), false],
    ['L13 a reason', entry(conditions(condition('Admitted', 'True', { reason: 'x' }), readyTrue)), false],
    ['L13 a message', entry(conditions(condition('Admitted', 'True', { message: 'x' }), readyTrue)), false],
    [
      'another generation',
      entry(conditions(admittedTrue, condition('Ready', 'True', { message: 'generation 2' }))),
      false,
    ],
    ['L19 the same condition twice', entry(conditions(admittedTrue, admittedTrue)), false],
    [
      'L19 the same condition twice, and all the others',
      entry(conditions(admittedTrue, readyTrue, admittedTrue)),
      false,
    ],
    ['conditions that are none', entry(conditions(null, 7)), false],
    ['conditions that are no list', entry({ conditions: 'x' }), false],
    ['fields of the future', entry({ someday: 1 }), true],
  ];
  test.each(cases)('%s', (_id, given, expected) => expect(says(given, wanted())).toBe(expected));

  test('L5 a rejection that is there already', () => {
    const desired = desiredEntry(route, claimed, 1, us);
    const [written] = withEntry([], desired, before);
    expect(says(written, desired)).toBe(true);
    expect(says(written, desiredEntry(route, rejected('InvalidHost', claimed.kind), 1, us))).toBe(false);
  });

  test('a rejection in words that are as good', () => {
    const reworded = rejected('HostAlreadyClaimed', 'replaced by older route o');
    const [written] = withEntry([], desiredEntry(route, reworded, 1, us), before);
    const like = (...wordings: string[]): DesiredEntry =>
      desiredEntry(route, rejected('HostAlreadyClaimed', 'route o is older', wordings), 1, us);
    expect(says(written, like('route o is older', 'replaced by older route o'))).toBe(true);
    expect(says(written, like('replaced by older route p'))).toBe(false);
    const [other] = withEntry([], desiredEntry(route, reworded, 2, us), before);
    expect(says(other, like('replaced by older route o'))).toBe(false);
  });

  test('an entry without canonical host, where none is wanted', () => {
    const desired = wanted({ canonicalHostname: '' });
    expect(says(entry({ routerCanonicalHostname: undefined }), desired)).toBe(true);
    expect(says(entry({ routerCanonicalHostname: '' }), desired)).toBe(true);
    expect(says(entry(), desired)).toBe(false);
  });
});

describe('the list with an entry in place (Route semantics 1.5, 8.10)', () => {
  test('L4 the first entry of all', () => {
    const written = withEntry([], desiredEntry(route, claimed, 3, us), now);
    expect(written).toEqual([
      {
        host: 'a.test',
        routerName: 'ours',
        conditions: [
          {
            type: 'Admitted',
            status: 'False',
            reason: 'HostAlreadyClaimed',
            message: 'route o already exposes a.test and is older',
            lastTransitionTime: now,
          },
          { type: 'Ready', status: 'False', message: 'generation 3', lastTransitionTime: now },
        ],
        wildcardPolicy: 'None',
        routerCanonicalHostname: 'router.apps.test',
      },
    ]);
  });

  test('L2 the host is put right; empty texts are not written', () => {
    const wrong = entry({
      host: 'b.test',
      conditions: [condition('Admitted', 'False', { reason: 'x', message: 'y' })],
    });
    const [written] = withEntry([wrong], wanted({ canonicalHostname: '' }), now);
    expect(written).toEqual({
      host: 'a.test',
      routerName: 'ours',
      conditions: [
        { type: 'Admitted', status: 'True', lastTransitionTime: now },
        { type: 'Ready', status: 'True', message: 'generation 1', lastTransitionTime: now },
      ],
      wildcardPolicy: 'None',
    });
  });

  test('a condition that stays as it is keeps its time; one that changes has a new one', () => {
    const times = (given: IngressEntry, desired: DesiredEntry): unknown[] => {
      const [written = {}] = withEntry([given], desired, now);
      return (written['conditions'] as { lastTransitionTime: string }[]).map((each) => each.lastTransitionTime);
    };
    expect(times(entry({ host: 'b.test' }), wanted())).toEqual([before, before]);
    expect(times(entry(), desiredEntry(route, admitted, 2, us))).toEqual([before, now]);
    expect(times(entry(), desiredEntry(route, claimed, 1, us))).toEqual([now, now]);
    // One without a time gets one.
    expect(times(entry({ conditions: [{ type: 'Admitted', status: 'True' }] }), wanted())).toEqual([now, now]);
    expect(
      times(entry({ conditions: [condition('Admitted', 'True', { lastTransitionTime: null })] }), wanted()),
    ).toEqual([now, now]);
  });

  const [first, second, third] = foreign as [IngressEntry, IngressEntry, IngressEntry];
  const places: readonly (readonly [
    name: string,
    list: readonly IngressEntry[],
    expected: readonly (IngressEntry | 'ours')[],
  ])[] = [
    ['L18 appended behind others', [first, second], [first, second, 'ours']],
    ['L8 in its place', [first, entry({ host: 'b.test' }), second], [first, 'ours', second]],
    ['in front', [entry({ host: 'b.test' }), third], ['ours', third]],
    [
      'L19 a second one of the same name goes',
      [first, entry({ host: 'b.test' }), second, entry(), third],
      [first, 'ours', second, third],
    ],
    ['the first one counts', [entry({ host: 'b.test' }), entry({ host: 'c.test' })], ['ours']],
    ['an entry without a name is not ours', [third], [third, 'ours']],
  ];
  test.each(places)('%s', (_name, list, expected) => {
    const given = structuredClone(list);
    const written = withEntry(list, wanted(), now);
    const texts = written.map((each) => (each['routerName'] === 'ours' ? 'ours' : JSON.stringify(each)));
    // Byte for byte: also the order of the fields.
    expect(texts).toEqual(expected.map((each) => (each === 'ours' ? each : JSON.stringify(each))));
    expect(list).toEqual(given);
  });

  test('any list: it says then what it should, others stay as they were, and once more changes nothing', () => {
    const names = fc.constantFrom('ours', 'default', 'sharded', '', 7, undefined);
    const texts = fc.constantFrom('a.test', 'b.test', '', null, 3, undefined);
    const someCondition = fc.oneof(
      fc.record({
        type: fc.constantFrom('Admitted', 'Ready', 'UnservableInFutureVersions', null),
        status: fc.constantFrom('True', 'False', 'Unknown', true),
        reason: fc.constantFrom(undefined, '', 'x'),
        message: fc.constantFrom(undefined, '', 'generation 1'),
        lastTransitionTime: fc.constantFrom(before, null, undefined, 5),
      }),
      fc.constantFrom(null, 'x', 7),
    );
    const someEntry: fc.Arbitrary<IngressEntry> = fc.record(
      {
        routerName: names,
        host: texts,
        wildcardPolicy: fc.constantFrom('None', 'Subdomain', '', undefined),
        routerCanonicalHostname: fc.constantFrom('router.apps.test', undefined, 1),
        conditions: fc.oneof(fc.array(someCondition, { maxLength: 3 }), fc.constantFrom(null, {}, 'x')),
        more: fc.anything(),
      },
      { requiredKeys: ['routerName'] },
    );
    const verdicts = fc.constantFrom(admitted, claimed);
    fc.assert(
      fc.property(fc.array(someEntry, { maxLength: 5 }), verdicts, fc.boolean(), (list, verdict, hasName) => {
        const identity = hasName ? us : { ...us, canonicalHostname: '' };
        const desired = desiredEntry(route, verdict, 1, identity);
        const written = withEntry(list, desired, now);
        expect(says(entryOf(written, 'ours'), desired)).toBe(true);
        expect(written.filter((each) => each['routerName'] === 'ours')).toHaveLength(1);
        const others = (all: readonly IngressEntry[]): IngressEntry[] =>
          all.filter((each) => each['routerName'] !== 'ours');
        expect(others(written)).toEqual(others(list));
        for (const [i, each] of others(written).entries()) expect(each).toBe(others(list)[i]);
        expect(withEntry(written, desired, before)).toEqual(written);
      }),
      { numRuns: 500 },
    );
  });
});
