import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type FieldRequirement,
  type LabelRequirement,
  parseFieldSelector,
  parseLabelSelector,
  selectableFields,
} from '../../src/config/selectors.ts';
import { matchesLabels } from '../../src/controller/shard.ts';
import { fieldSelectorText, labelSelectorText } from '../../src/source/kube/selector-text.ts';
import {
  parseFieldSelector as serverFieldSelector,
  parseLabelSelector as serverLabelSelector,
} from '../support/api-server/selectors.ts';

const label = (
  key: string,
  operator: LabelRequirement['operator'],
  ...values: readonly string[]
): LabelRequirement => ({ key, operator, values });

function labelsOf(text: string): readonly LabelRequirement[] | string {
  const parsed = parseLabelSelector(text);
  return parsed.kind === 'requirements' ? parsed.requirements : parsed.because;
}

function fieldsOf(text: string): readonly FieldRequirement[] | string {
  const parsed = parseFieldSelector(text);
  return parsed.kind === 'requirements' ? parsed.requirements : parsed.because;
}

function serverTakes(text: string): boolean {
  try {
    serverLabelSelector(text);
    return true;
  } catch {
    return false;
  }
}

const name63 = 'n'.repeat(63);
const prefix253 = `${'p'.repeat(126)}.${'p'.repeat(126)}`;

describe('a label selector (apimachinery, pkg/labels)', () => {
  const read: readonly (readonly [text: string, ...requirements: LabelRequirement[]])[] = [
    [''],
    [' \t\r\n '],
    ['a=b', label('a', 'in', 'b')],
    ['a==b', label('a', 'in', 'b')],
    ['a!=b', label('a', 'not-in', 'b')],
    ['a=', label('a', 'in', '')],
    ['a==', label('a', 'in', '')],
    ['a!=', label('a', 'not-in', '')],
    ['a= ,b', label('a', 'in', ''), label('b', 'exists')],
    ['a', label('a', 'exists')],
    ['!a', label('a', 'absent')],
    ['a in (b)', label('a', 'in', 'b')],
    ['a in (b,c)', label('a', 'in', 'b', 'c')],
    ['a in (c,b,c)', label('a', 'in', 'b', 'c')],
    ['a notin (b,c)', label('a', 'not-in', 'b', 'c')],
    ['a in ()', label('a', 'in', '')],
    ['a in (,)', label('a', 'in', '')],
    ['a in (,b)', label('a', 'in', '', 'b')],
    ['a in (b,)', label('a', 'in', '', 'b')],
    ['a in (b,,c)', label('a', 'in', '', 'b', 'c')],
    ['a notin ()', label('a', 'not-in', '')],
    ['a>1', label('a', 'greater', '1')],
    ['a<1', label('a', 'less', '1')],
    ['a > 007', label('a', 'greater', '007')],
    ['a>9223372036854775807', label('a', 'greater', '9223372036854775807')],
    ['a=b,c!=d', label('a', 'in', 'b'), label('c', 'not-in', 'd')],
    ['a,!b,c in (d)', label('a', 'exists'), label('b', 'absent'), label('c', 'in', 'd')],
    ['a=b,a=c', label('a', 'in', 'b'), label('a', 'in', 'c')],
    // Blanks are wanted nowhere but between words.
    [' a = b ', label('a', 'in', 'b')],
    ['\ta\n==\rb ,\t! c', label('a', 'in', 'b'), label('c', 'absent')],
    ['a in(b)', label('a', 'in', 'b')],
    ['a notin(b)', label('a', 'not-in', 'b')],
    ['a  in  (  b  ,  c  )  ', label('a', 'in', 'b', 'c')],
    ['a in ( )', label('a', 'in', '')],
    // The words of the grammar are words like any other where no operator is expected.
    ['in', label('in', 'exists')],
    ['notin', label('notin', 'exists')],
    ['!in', label('in', 'absent')],
    ['in,notin', label('in', 'exists'), label('notin', 'exists')],
    ['in=in', label('in', 'in', 'in')],
    ['notin!=notin', label('notin', 'not-in', 'notin')],
    ['in in (in)', label('in', 'in', 'in')],
    ['in notin (notin,in)', label('in', 'not-in', 'in', 'notin')],
    ['notin notin (notin)', label('notin', 'not-in', 'notin')],
    ['a=in,in', label('a', 'in', 'in'), label('in', 'exists')],
    ['IN=b', label('IN', 'in', 'b')],
    // Names with a prefix, and at their greatest lengths.
    ['app.kubernetes.io/name=shop', label('app.kubernetes.io/name', 'in', 'shop')],
    ['!x.y/a_b.C-d', label('x.y/a_b.C-d', 'absent')],
    ['p/in in (b)', label('p/in', 'in', 'b')],
    ['0/0=0', label('0/0', 'in', '0')],
    ['A_.-z', label('A_.-z', 'exists')],
    ['a=B_.-z', label('a', 'in', 'B_.-z')],
    [`${name63}=${name63}`, label(name63, 'in', name63)],
    [`${prefix253}/${name63}`, label(`${prefix253}/${name63}`, 'exists')],
  ];
  test.each(read.map(([text, ...requirements]) => [text, requirements] as const))('%j', (text, requirements) => {
    expect(labelsOf(text)).toEqual(requirements);
    expect(serverTakes(text)).toBe(true);
  });

  const refused: readonly (readonly [text: string, because: string])[] = [
    [',', 'has , where the name of a label should be'],
    ['a,', 'ends with a comma'],
    ['a=b,', 'ends with a comma'],
    ['a,,b', 'has , where the name of a label should be'],
    [',a', 'has , where the name of a label should be'],
    ['!', 'lacks the name of a label'],
    ['!!a', 'has ! where the name of a label should be'],
    ['!a=b', 'has = where a comma should be'],
    ['!a in (b)', 'has in where a comma should be'],
    ['=b', 'has = where the name of a label should be'],
    ['a b', 'has b behind a, where an operator should be'],
    ['a=b c', 'has c where a comma should be'],
    ['a=b=c', 'has = where a comma should be'],
    ['a===b', 'has = where the value of a label should be'],
    ['a!==b', 'has = where the value of a label should be'],
    ['a=!b', 'has ! where the value of a label should be'],
    ['a=>b', 'has > where the value of a label should be'],
    ['a!b', 'has ! behind a, where an operator should be'],
    ['a=(b)', 'has ( where the value of a label should be'],
    ['a(b)', 'has ( behind a, where an operator should be'],
    ['(a)', 'has ( where the name of a label should be'],
    ['a in', 'has no ( behind in or notin'],
    ['a in b', 'has no ( behind in or notin'],
    ['a notin =', 'has no ( behind in or notin'],
    ['a in (', 'ends too early'],
    ['a in (b', 'has a ( without its )'],
    ['a in (b,', 'ends too early'],
    ['a in (b c)', 'has a ( without its )'],
    ['a in (b=c)', 'has a ( without its )'],
    ['a in (b))', 'has ) where a comma should be'],
    ['a in (b)c', 'has c where a comma should be'],
    ['a in ((b)', 'has ( where the value of a label should be'],
    ['a IN (b)', 'has IN behind a, where an operator should be'],
    ['a>', 'compares a with , which is not a whole number'],
    ['a>b', 'compares a with b, which is not a whole number'],
    ['a>1.5', 'compares a with 1.5, which is not a whole number'],
    ['a<+1', 'compares a with +1, which is not a whole number'],
    ['a>=1', 'compares a with =, which is not a whole number'],
    ['a<>1', 'compares a with >, which is not a whole number'],
    // The form of names and values.
    ['-a', 'has -a where the name of a label should be'],
    ['a-', 'has a- where the name of a label should be'],
    ['a/', 'has a/ where the name of a label should be'],
    ['/a', 'has /a where the name of a label should be'],
    ['a/b/c', 'has a/b/c where the name of a label should be'],
    ['A/b', 'has A/b where the name of a label should be'],
    ['a_b/c', 'has a_b/c where the name of a label should be'],
    ['ä', 'has ä where the name of a label should be'],
    ['a=-b', 'has -b where the value of a label should be'],
    ['a=b.', 'has b. where the value of a label should be'],
    ['a=b/c', 'has b/c where the value of a label should be'],
    ['a=ä', 'has ä where the value of a label should be'],
    ['a="b"', 'has "b" where the value of a label should be'],
    ['a in (b,-c)', 'has -c where the value of a label should be'],
    [`${name63}n`, `has ${name63}n where the name of a label should be`],
    [`a=${name63}n`, `has ${name63}n where the value of a label should be`],
    [`${prefix253}p/a`, `has ${prefix253}p/a where the name of a label should be`],
    ['*', 'has * where the name of a label should be'],
  ];
  // The API server for tests does not look so closely at these.
  const refusedHere: readonly (readonly [text: string, because: string])[] = [
    ['a..b/c', 'has a..b/c where the name of a label should be'],
    ['a.-b/c', 'has a.-b/c where the name of a label should be'],
    // A number is the value of a label as well: no sign in front, 63 characters and 64 bits at most.
    ['a>-1', 'compares a with -1, which is not a whole number'],
    ['a>9223372036854775808', 'compares a with 9223372036854775808, which is not a whole number'],
    [`a<${'1'.repeat(64)}`, `compares a with ${'1'.repeat(64)}, which is not a whole number`],
  ];
  test.each([...refused, ...refusedHere])('%j is refused', (text, because) => {
    expect(labelsOf(text)).toBe(because);
  });

  test.each(refused)('%j is refused by the API server, too', (text) => {
    expect(serverTakes(text)).toBe(false);
  });

  test('a comma behind a comparison begins the next requirement', () => {
    expect(labelsOf('a>1,b')).toEqual([label('a', 'greater', '1'), label('b', 'exists')]);
    expect(labelsOf('a>1,2')).toEqual([label('a', 'greater', '1'), label('2', 'exists')]);
  });

  test('a long list takes no time', () => {
    const values = Array.from({ length: 20_000 }, (_, i) => `v${i}`);
    expect(labelsOf(`a in (${values.join(',')})`)).toEqual([label('a', 'in', ...values.sort())]);
    expect(labelsOf('a'.repeat(100_000))).toMatch(/^has a+ where/);
    expect(labelsOf(`a${'-'.repeat(100_000)}`)).toMatch(/^has a-+ where/);
    expect(labelsOf(`${'a.'.repeat(50_000)}/a`)).toMatch(/^has /);
  });
});

// Names and values as labels have them, the words of the grammar among them.
const edge = fc.constantFrom(...'abzAZ09');
const word = fc
  .tuple(edge, fc.string({ unit: fc.constantFrom(...'abzAZ09-_.'), maxLength: 6 }), edge)
  .map((parts) => parts.join(''));
const value = fc.oneof({ weight: 4, arbitrary: word }, edge, fc.constantFrom('in', 'notin', 'exists', name63));
const prefix = fc.constantFrom('', '', '', 'x/', 'app.kubernetes.io/', 'in/', '0-a.b/');
const key = fc.tuple(prefix, value).map((parts) => parts.join(''));
const values = fc
  .uniqueArray(fc.oneof({ weight: 6, arbitrary: value }, fc.constant('')), { minLength: 1, maxLength: 4 })
  .map((some) => some.sort());
const number = fc.oneof(fc.nat(20), fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }));
const requirement: fc.Arbitrary<LabelRequirement> = fc.oneof(
  fc.record({ key, operator: fc.constantFrom('in' as const, 'not-in' as const), values }),
  fc.record({ key, operator: fc.constantFrom('exists' as const, 'absent' as const), values: fc.constant([]) }),
  fc.record({
    key,
    operator: fc.constantFrom('greater' as const, 'less' as const),
    values: number.map((some) => [String(some)]),
  }),
);

/** What a requirement means, in the words of the API concepts. */
function modelMatches(requirements: readonly LabelRequirement[], labels: Readonly<Record<string, string>>): boolean {
  const known = new Map(Object.entries(labels));
  for (const { key, operator, values } of requirements) {
    const value = known.get(key);
    const isNumber = value !== undefined && /^\d+$/.test(value) && BigInt(value) < 2n ** 63n;
    const bound = operator === 'greater' || operator === 'less' ? BigInt(values[0] ?? '') : 0n;
    const holds = {
      exists: value !== undefined,
      absent: value === undefined,
      in: value !== undefined && values.some((one) => one === value),
      'not-in': value === undefined || values.every((one) => one !== value),
      greater: isNumber && BigInt(value) > bound,
      less: isNumber && BigInt(value) < bound,
    };
    if (!holds[operator]) return false;
  }
  return true;
}

describe('label requirements', () => {
  test('their text says the same when it is read again, by us and by the API server', () => {
    fc.assert(
      fc.property(fc.array(requirement, { maxLength: 5 }), (requirements) => {
        const text = labelSelectorText(requirements);
        expect(labelsOf(text)).toEqual(requirements);
        expect(serverTakes(text)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('blanks change nothing', () => {
    const blanks = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });
    fc.assert(
      fc.property(
        fc.array(requirement, { maxLength: 3 }),
        fc.array(blanks, { minLength: 40, maxLength: 40 }),
        (some, gaps) => {
          let gap = 0;
          const text = labelSelectorText(some).replaceAll(/[=!(),<>]+/g, (sign) => {
            return `${gaps[gap++ % gaps.length]}${sign}${gaps[gap++ % gaps.length]}`;
          });
          expect(labelsOf(text)).toEqual(some);
        },
      ),
    );
  });

  test('select what a plain reading of them and what the API server selects', () => {
    // Few keys and values, so that they meet.
    const few = fc.constantFrom('a', 'b', 'in', 'x/a', 'constructor', 'toString');
    const fewValues = fc.constantFrom('', '1', '2', '10', 'b', 'in');
    const labels = fc.dictionary(few, fewValues, { maxKeys: 4, noNullPrototype: true });
    const fewRequirements = fc.array(
      fc.oneof(
        fc.record({
          key: few,
          operator: fc.constantFrom('in' as const, 'not-in' as const),
          values: fc.uniqueArray(fewValues, { minLength: 1, maxLength: 3 }).map((some) => some.sort()),
        }),
        fc.record({
          key: few,
          operator: fc.constantFrom('exists' as const, 'absent' as const),
          values: fc.constant([]),
        }),
        fc.record({
          key: few,
          operator: fc.constantFrom('greater' as const, 'less' as const),
          values: fc.constantFrom(['1'], ['2'], ['9']),
        }),
      ),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(fewRequirements, labels, (requirements, given) => {
        const expected = modelMatches(requirements, given);
        expect(matchesLabels(requirements, given)).toBe(expected);
        // Own labels only: an object that was read from JSON has the names of its prototype all the same.
        const bare = Object.assign(Object.create(null) as Record<string, string>, given);
        expect(serverLabelSelector(labelSelectorText(requirements))(bare)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  const comparisons: readonly (readonly [selector: string, value: string, expected: boolean])[] = [
    ['a>1', '2', true],
    ['a>1', '1', false],
    ['a>1', '10', true],
    ['a<10', '9', true],
    ['a>1', '', false],
    ['a>1', 'b', false],
    ['a>1', '2b', false],
    ['a>1', '0x2', false],
    ['a>1', '1.5', false],
    ['a>9007199254740992', '9007199254740993', true],
    ['a<9007199254740993', '9007199254740992', true],
    ['a>0', '9223372036854775807', true],
    // No number that has more than 64 bits.
    ['a>0', '9223372036854775808', false],
  ];
  test.each(comparisons)('%s, a is %j: %s', (selector, value, expected) => {
    const requirements = labelsOf(selector);
    if (typeof requirements === 'string') throw new Error(requirements);
    expect(matchesLabels(requirements, { a: value })).toBe(expected);
    expect(matchesLabels(requirements, {})).toBe(false);
  });

  test('text of any kind is read or refused, never more', () => {
    const signs = fc.string({ unit: fc.constantFrom(...'ab1 ,=!()<>/-.', 'in', ' notin ', '\n'), maxLength: 20 });
    fc.assert(
      fc.property(fc.oneof(fc.string(), signs), (text) => {
        const parsed = labelsOf(text);
        if (typeof parsed === 'string') {
          expect(parsed).not.toBe('');
          return;
        }
        // What we take and pass on, the API server takes.
        expect(serverTakes(labelSelectorText(parsed))).toBe(true);
        expect(labelsOf(labelSelectorText(parsed))).toEqual(parsed);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a field selector (apimachinery, pkg/fields; Route semantics 1.7)', () => {
  const field = (name: FieldRequirement['field'], equal: boolean, text: string): FieldRequirement => ({
    field: name,
    equal,
    value: text,
  });
  const read: readonly (readonly [text: string, ...requirements: FieldRequirement[]])[] = [
    ['metadata.name=a', field('metadata.name', true, 'a')],
    ['metadata.name==a', field('metadata.name', true, 'a')],
    ['metadata.namespace!=a', field('metadata.namespace', false, 'a')],
    ['spec.host=', field('spec.host', true, '')],
    ['spec.path!=', field('spec.path', false, '')],
    ['spec.path=/a/b', field('spec.path', true, '/a/b')],
    ['spec.host=a.test,spec.to.name!=b', field('spec.host', true, 'a.test'), field('spec.to.name', false, 'b')],
    [' spec.host = a.test , spec.path == /x ', field('spec.host', true, 'a.test'), field('spec.path', true, '/x')],
  ];
  test.each(read.map(([text, ...requirements]) => [text, requirements] as const))('%j', (text, requirements) => {
    expect(fieldsOf(text)).toEqual(requirements);
    const asTheServerReads = serverFieldSelector(fieldSelectorText(requirements));
    expect(asTheServerReads).toEqual(requirements.map(({ field, equal, value }) => ({ field, isEqual: equal, value })));
  });

  const list = 'is not a list of field=value and field!=value';
  const unknown = (name: string): string => `names the field ${name}; known are ${selectableFields.join(', ')}`;
  const refused: readonly (readonly [text: string, because: string])[] = [
    ['', list],
    ['a', list],
    ['spec.host', list],
    ['=a', list],
    ['!spec.host', list],
    ['spec.host in (a)', list],
    ['spec.host=a=b', list],
    ['spec.host===a', list],
    ['spec.host!a', list],
    ['spec.host=a,', list],
    ['spec.host=a,,spec.path=b', list],
    ['spec.port=a', unknown('spec.port')],
    ['status.phase=Active', unknown('status.phase')],
    ['Spec.host=a', unknown('Spec.host')],
    ['constructor=a', unknown('constructor')],
  ];
  test.each(refused)('%j is refused', (text, because) => {
    expect(fieldsOf(text)).toBe(because);
  });

  test('its text says the same when it is read again', () => {
    const some: fc.Arbitrary<FieldRequirement> = fc.record({
      field: fc.constantFrom(...selectableFields),
      equal: fc.boolean(),
      value: fc.string({ unit: fc.constantFrom(...'abc./-_*'), maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(some, { minLength: 1, maxLength: 4 }), (requirements) => {
        expect(fieldsOf(fieldSelectorText(requirements))).toEqual(requirements);
      }),
    );
  });
});
