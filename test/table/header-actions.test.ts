import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerActionProblem, headerActionText, parseHeaderValue } from '../../src/table/header-actions.ts';

/** Route semantics 8.2, C1 to C28; XYZ stands for the message that the list is about. */
const values: readonly (readonly [id: string, valid: boolean, texts: readonly string[]])[] = [
  ['C1', false, ['']],
  ['C2', true, ['a', 'abc', 'abc def', 'abc\\ def']],
  ['C3', true, ['"abc"\\ "def"', '"abc "\\ \'def \'']],
  ['C4', false, ['%']],
  ['C5', true, ['%%']],
  ['C6', false, ['%%%']],
  ['C7', true, ['%%%%', '%%%%%%0']],
  ['C8', true, ['%%[XYZ.hdr(Host)]\\ %[XYZ.hdr(Host)]']],
  ['C9', false, ['%[]', '%[%[]]']],
  ['C10', false, ['%{+Q}', '%{+Q}foo', '%{+Q} ssl_c_der']],
  ['C11', true, ['{+Q}[ssl_c_der,base64]']],
  ['C12', true, ['%{+Q}[ssl_c_der,base64]']],
  ['C13', false, ['%[XYZ.hdr()]', '%[XYZ.hdr(%)]', '%[XYZ.hdr(Host]', '%[XYZ.hdr(%{+Q}Host)]']],
  ['C14', true, ['%[XYZ.hdr(Host)]']],
  ['C15', true, ['1;mode=block', 'text/plain,text/html']],
  ['C16', false, ['%[req']],
  ['C17', true, ['%[XYZ.hdr(Host)] if foo', '%[XYZ.hdr(Host)]\\ if\\ foo']],
  ['C18', false, ['%[date(3600),http_date]', '%[foo,lower]', '%[req.hdr(host),foo]']],
  ['C19', false, ['%{Q[req.hdr(host)]', '%Q}[req.hdr(host)]', '%{{Q}[req.hdr(host)]']],
  ['C20', false, ['%[req.hdr(host)', '%req.hdr(host)]', '%[req.hdrhost)]', '%[req.hdr(host]', '%{req.hdr(host)}']],
  ['C21', false, ['%[ssl_c_der(host)]']],
  ['C22', false, ['%[env(FOO)]', '%[XYZ.hdr(host),debug()]', '%[XYZ.hdr(host),,lower]']],
  ['C23', false, ['\r', '\r\n', '\tT\t', 'a\nb', 'a\0b', 'a\x7f']],
  ['C24', true, ['${NET_COOLOCP_HOSTPRIMARY', '%[XYZ.hdr(Host)]${X}']],
  ['C25', false, ['%ci:%cp [%tr] %sslv/%sslc', '%T']],
  ['C26', true, ['http:??//url/hack']],
  ['C27', true, [' T ', '  T  ']],
  ['C28', false, ['%+Q[ssl_c_der,base64]']],
];

describe.each(['request', 'response'] as const)('values of a %s', (direction) => {
  const own = direction === 'request' ? 'req' : 'res';

  test.each(values)('%s', (_id, valid, texts) => {
    for (const text of texts) {
      expect([text, parseHeaderValue(text.replaceAll('XYZ', own), direction) !== null]).toEqual([text, valid]);
    }
  });

  test('fields of the other message cannot be read', () => {
    const other = direction === 'request' ? 'res' : 'req';
    expect(parseHeaderValue(`%[${other}.hdr(Host)]`, direction)).toBeNull();
  });

  test('pieces in order', () => {
    expect(parseHeaderValue(`100%% %{+Q,-X}[${own}.hdr(X-In),lower,base64]-%[ssl_c_der]b`, direction)).toEqual([
      '100% ',
      { field: 'x-in', converters: ['lower', 'base64'] },
      '-',
      { clientCertificate: 'der', converters: [] },
      'b',
    ]);
  });
});

test('no character of a literal becomes another when heads are written byte by byte', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
      const parts = parseHeaderValue(text.replaceAll('%', '%%'), 'request');
      if (parts === null) return;
      const written = Buffer.from(parts.join(''), 'latin1');
      expect(written.toString('utf8')).toBe(text.toWellFormed());
      expect([...written].every((byte) => byte >= 0x20 && byte !== 0x7f)).toBe(true);
    }),
  );
});

test.each([
  ['Content-Length', 'a', false],
  ['TRANSFER-ENCODING', null, false],
  ['connection', 'close', false],
  ['Trailer', 'x', false],
  ['Host', 'inner.test', true],
  ['Host', null, false],
  ['X-Any', null, true],
])('%s to %o may be done: %s', (name, value, expected) => {
  const problem = headerActionProblem({ name, parts: value === null ? null : [value] });
  expect(problem === null).toBe(expected);
});

describe.each(['request', 'response'] as const)('a value of a %s, written again', (direction) => {
  const own = direction === 'request' ? 'req' : 'res';

  test.each(values.filter(([, valid]) => valid))('%s', (_id, _valid, texts) => {
    for (const text of texts) {
      const parts = parseHeaderValue(text.replaceAll('XYZ', own), direction);
      const written = headerActionText({ name: 'X-A', parts }, direction).replace(/^Set X-A: /, '');
      expect(parseHeaderValue(written, direction), text).toEqual(parts);
    }
  });

  test('what is deleted', () => {
    expect(headerActionText({ name: 'X-A', parts: null }, direction)).toBe('Delete X-A');
  });
});
