import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentOf, documentsOf } from '../../src/source/files/documents.ts';

function split(text: string): readonly { readonly text: string; readonly line: number }[] {
  return [...documentsOf(Buffer.from(text))];
}

describe('documentsOf', () => {
  const cases: readonly (readonly [
    name: string,
    text: string,
    documents: readonly (readonly [text: string, line: number])[],
  ])[] = [
    ['nothing', '', []],
    ['one without a separator', 'a: 1\n', [['a: 1\n', 0]]],
    [
      'separators before, between and after',
      '---\na: 1\n---\nb: 2\n---\n',
      [
        ['a: 1\n', 1],
        ['b: 2\n', 3],
      ],
    ],
    [
      'no newline at the end',
      'a: 1\n---\nb: 2',
      [
        ['a: 1\n', 0],
        ['b: 2', 2],
      ],
    ],
    [
      'carriage returns',
      'a: 1\r\n---\r\nb: 2\r\n',
      [
        ['a: 1\r\n', 0],
        ['b: 2\r\n', 2],
      ],
    ],
    ['a comment after the separator', '--- # one\na: 1\n', [['a: 1\n', 1]]],
    [
      'content after the separator',
      '--- {a: 1}\n--- [2]',
      [
        ['--- {a: 1}\n', 0],
        ['--- [2]', 1],
      ],
    ],
    ['empty documents', '---\n---\n# only words\n\n---\na: 1\n...\n---\n', [['a: 1\n...\n', 5]]],
    ['directives', '%YAML 1.2\n---\na: 1\n', [['a: 1\n', 2]]],
    ['what only looks like a separator', 'a: |\n  ---\n----\n---x\nb: 2\n', [['a: |\n  ---\n----\n---x\nb: 2\n', 0]]],
    ['a byte order mark', '\uFEFFa: 1\n', [['a: 1\n', 0]]],
  ];
  test.each(cases)('%s', (_name, text, documents) => {
    expect(split(text)).toEqual(documents.map(([document, line]) => ({ text: document, line })));
  });

  test('a document put in front leaves the others as they are', () => {
    expect(split(`---\nx: 0\n---\na: 1\n`)[1]?.text).toBe(split('a: 1\n')[0]?.text);
  });
});

describe('contentOf', () => {
  const objects: readonly (readonly [
    name: string,
    format: 'yaml' | 'json',
    text: string,
    objects: readonly unknown[],
  ])[] = [
    ['a mapping', 'yaml', 'kind: Route\n', [{ kind: 'Route' }]],
    ['nothing but null', 'yaml', '~\n', []],
    [
      'timestamps stay strings',
      'yaml',
      'a: 2020-01-01T00:00:00Z\nb: 2020-01-01\n',
      [{ a: '2020-01-01T00:00:00Z', b: '2020-01-01' }],
    ],
    ['merge keys', 'yaml', 'a: &x {p: 1}\nb: {<<: *x, q: 2}\n', [{ a: { p: 1 }, b: { p: 1, q: 2 } }]],
    ['a List', 'yaml', 'kind: List\nitems:\n- kind: Route\n- 5\n', [{ kind: 'Route' }, 5]],
    ['an empty List', 'yaml', 'kind: List\nitems:\n', []],
    [
      'a typed list gives its kind',
      'yaml',
      'apiVersion: g/v1\nkind: RouteList\nitems:\n- {a: 1}\n- {kind: Service}\n',
      [{ apiVersion: 'g/v1', kind: 'Route', a: 1 }, { kind: 'Service' }],
    ],
    ['a kind that only ends in List', 'yaml', 'kind: AllowList\nspec: 1\n', [{ kind: 'AllowList', spec: 1 }]],
    ['JSON', 'json', '{"kind": "List", "items": [{"kind": "Route"}]}', [{ kind: 'Route' }]],
  ];
  test.each(objects)('%s', (_name, format, text, expected) => {
    expect(contentOf(text, format)).toEqual({ kind: 'objects', objects: expected });
  });

  const broken: readonly (readonly [
    name: string,
    format: 'yaml' | 'json',
    text: string,
    line: number,
    reason: string,
  ])[] = [
    ['indentation', 'yaml', 'a: 1\nb: c: d\n', 1, 'not valid YAML: bad indentation of a mapping entry'],
    ['a key twice', 'yaml', 'a: 1\n\na: 2\n', 2, 'not valid YAML: duplicated mapping key'],
    [
      'two documents',
      'yaml',
      'a: 1\n...\nb: 2\n',
      0,
      'not valid YAML: expected a single document in the stream, but found more',
    ],
    ['an alias that is a password', 'yaml', 'a: 1\npassword: *hun"ter2\n', 1, 'not valid YAML: unidentified alias'],
    ['a tag that is a password', 'yaml', 'password: !hunter2 x\n', 0, 'not valid YAML: unknown scalar tag'],
    ['JSON with a comma too many', 'json', '{"a": [1,\n2,\n],\n"b": "some more text to fill it"}', 2, 'not valid JSON'],
    ['JSON with a key without quotes', 'json', '{\n"a": 1,\nb: 2}', 2, 'not valid JSON'],
    ['JSON that is cut', 'json', '{\n"a": [\n', 1, 'not valid JSON: it ends too early'],
    ['JSON that is a word', 'json', 'hunter2', 0, 'not valid JSON'],
  ];
  test.each(broken)('%s', (_name, format, text, line, reason) => {
    expect(contentOf(text, format)).toEqual({ kind: 'broken', line, reason });
  });

  test('aliases are bounded, and nested ones are not expanded', () => {
    const levels = Array.from({ length: 20 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}, *a${i}]\n`);
    expect(contentOf(`a0: &a0 [x]\n${levels.join('')}`, 'yaml').kind).toBe('objects');
    expect(contentOf(`a: &a x\nb: [${'*a, '.repeat(200)}]`, 'yaml')).toMatchObject({ kind: 'broken', line: 1 });
  });
});

describe('a large List', () => {
  const filling = 'x'.repeat(100);
  const text = fc.constantFrom(
    'a b',
    '"#"',
    "'- x'",
    '|\n{i}  - a\n\n{i}  # b\n{i}  c',
    '>-\n{i}  text\n{i}   more',
    '"a\n{i}  - b"',
    '[1,\n{i}  2]',
    '# c\n{i}',
  );
  const item = fc.record({
    spaces: fc.integer({ min: 1, max: 3 }),
    values: fc.array(text, { minLength: 1, maxLength: 4 }),
    comment: fc.boolean(),
  });
  const list = fc.record({
    indent: fc.constantFrom('', '  ', '    '),
    items: fc.array(item, { minLength: 1, maxLength: 5 }),
    headKind: fc.boolean(),
    newline: fc.constantFrom('\n', '\r\n'),
  });

  test('cut into its items means what the whole means', () => {
    fc.assert(
      fc.property(list, ({ indent, items, headKind, newline }) => {
        const written = items.map(({ spaces, values, comment }, n) => {
          const inner = indent + ' '.repeat(1 + spaces);
          const entries = [
            `n${n}: ${filling.repeat(100)}`,
            ...values.map((value, i) => `k${i}: ${value.replaceAll('{i}', inner)}`),
          ];
          return `${comment ? '# between\n\n' : ''}${indent}-${' '.repeat(spaces)}${entries.join(`\n${inner}`)}\n`;
        });
        const lines = `${headKind ? 'kind: List\n' : ''}apiVersion: v1\nitems:\n${written.join('')}${headKind ? '' : 'kind: List\n'}metadata:\n  a: b\n`;
        const whole = lines.replaceAll('\n', newline);
        const small = contentOf(whole, 'yaml');
        const pieces = split(whole);
        const objects = pieces.flatMap((piece) => {
          const content = contentOf(piece.text, 'yaml');
          return content.kind === 'objects' ? content.objects : [content];
        });
        expect(small).toEqual({ kind: 'objects', objects });
        if (whole.length > 40_000) expect(pieces.length).toBeGreaterThan(1);
      }),
      { numRuns: 200 },
    );
  });

  test('an edited item leaves the texts and a fault names its line', () => {
    const items = Array.from({ length: 500 }, (_, i) => `- kind: Route\n  name: r${i}\n  text: ${filling}\n`);
    const whole = `apiVersion: v1\nitems:\n${items.join('')}kind: List\n`;
    const before = new Set(split(whole).map((document) => document.text));
    const after = split(whole.replace('name: r7\n', 'name: r7: b\n')).filter((document) => !before.has(document.text));
    expect(after).toHaveLength(1);
    const [document] = after;
    const content = contentOf(document?.text ?? '', 'yaml');
    expect(content).toMatchObject({ kind: 'broken' });
    expect((document?.line ?? 0) + (content.kind === 'broken' ? content.line : 0)).toBe(2 + 7 * 3 + 1);
    const tail = split(`${whole}metadata: a: b\n`).at(-1);
    expect(tail?.line).toBe(0);
    expect(contentOf(tail?.text ?? '', 'yaml')).toMatchObject({ kind: 'broken', line: 2 + 500 * 3 + 1 });
  });

  test('anchors keep it whole', () => {
    const items = Array.from({ length: 500 }, () => `- {a: ${filling}}\n`);
    expect(split(`kind: List\nitems:\n- &a {b: 1}\n- *a\n${items.join('')}`)).toHaveLength(1);
    expect(split(`kind: List\nitems:\n- {b: R&D & more}\n${items.join('')}`)).toHaveLength(502);
  });
});
