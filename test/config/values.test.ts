import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quoted } from '../../src/config/shown.ts';
import { delayMs, readValue, secondsMs, type ValueKind } from '../../src/config/values.ts';
import { MAX_TIME_MS, timeMs } from '../../src/table/time.ts';

const port = { kind: 'integer', noun: 'a port', min: 0, max: 65535 } as const;
const limit = { kind: 'limit', noun: 'a number of connections', max: 1000 } as const;
const choice = { kind: 'choice', options: ['append', 'if-none'] } as const;

type Case = readonly [kind: ValueKind, text: string, value: string | number | boolean | readonly string[]];

const accepted: readonly Case[] = [
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text): Case => [{ kind: 'switch' }, text, true]),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text): Case => [{ kind: 'switch' }, text, false]),
  [port, '0', 0],
  [port, '8080', 8080],
  [port, '65535', 65535],
  [limit, '1', 1],
  [limit, '1000', 1000],
  [limit, '0', 0],
  [limit, 'auto', 0],
  [{ kind: 'share' }, '0', 0],
  [{ kind: 'share' }, '0.25', 0.25],
  [{ kind: 'share' }, '.5', 0.5],
  [{ kind: 'share' }, '1', 1],
  [{ kind: 'share' }, '1.0', 1],
  [{ kind: 'time' }, '5s', 5000],
  [{ kind: 'delay' }, '1m30s', 90_000],
  [{ kind: 'seconds' }, '30', 30_000],
  [choice, 'append', 'append'],
  [choice, 'if-none', 'if-none'],
  [{ kind: 'text' }, '', ''],
  [{ kind: 'text' }, 'any thing', 'any thing'],
  [{ kind: 'domain' }, '', ''],
  [{ kind: 'domain' }, 'Apps.Example.test.', 'apps.example.test'],
  [{ kind: 'address' }, '0.0.0.0', '0.0.0.0'],
  [{ kind: 'address' }, '192.168.1.255', '192.168.1.255'],
  [{ kind: 'address' }, '::', '::'],
  [{ kind: 'address' }, '0:0:0:0:0:0:0:0', '::'],
  [{ kind: 'address' }, 'FE80::01', 'fe80::1'],
  [{ kind: 'networks' }, '', []],
  [{ kind: 'networks' }, ' 10.0.0.0/8,, 192.0.2.1 ', ['10.0.0.0/8', '192.0.2.1/32']],
  [{ kind: 'networks' }, '2001:DB8::0/32,::1,::/0', ['2001:db8::/32', '::1/128', '::/0']],
  // Route semantics 8.20, V14.
  [{ kind: 'media-types' }, 'text/html  TEXT/Plain', ['text/html', 'text/plain']],
  [{ kind: 'media-types' }, '"text/html; charset=utf-8" text/css', ['text/html; charset=utf-8', 'text/css']],
  [{ kind: 'media-types' }, '"a/b; c=\\"d e\\""', ['a/b; c="d e"']],
  [{ kind: 'media-types' }, 'text/ text/* image', ['text/', 'text/*', 'image']],
  [{ kind: 'file' }, './relative', './relative'],
  [{ kind: 'directory' }, '/etc', '/etc'],
  [{ kind: 'writable-directory' }, '/run', '/run'],
];

const refused: readonly (readonly [kind: ValueKind, text: string, because: string])[] = [
  [{ kind: 'switch' }, 'yes', '"yes" is not true or false'],
  [{ kind: 'switch' }, 'tRUE', '"tRUE" is not true or false'],
  [{ kind: 'switch' }, '', '"" is not true or false'],
  [port, 'abc', '"abc" is not a port (0 to 65535)'],
  [port, '65536', '"65536" is not a port (0 to 65535)'],
  [port, '-1', '"-1" is not a port (0 to 65535)'],
  [port, '80.5', '"80.5" is not a port (0 to 65535)'],
  [port, '0x50', '"0x50" is not a port (0 to 65535)'],
  [port, ' 80', '" 80" is not a port (0 to 65535)'],
  [port, '8e1', '"8e1" is not a port (0 to 65535)'],
  [port, '', '"" is not a port (0 to 65535)'],
  [port, '9'.repeat(100), `"${'9'.repeat(100)}" is not a port (0 to 65535)`],
  [port, 'tcp://10.0.0.1:80', '"tcp://10.0.0.1:80" is not a port (0 to 65535)'],
  [limit, '1001', '"1001" is not a number of connections (1 to 1000, or auto)'],
  [limit, 'none', '"none" is not a number of connections (1 to 1000, or auto)'],
  [{ kind: 'share' }, '1.1', '"1.1" is not a share (0 to 1)'],
  [{ kind: 'share' }, '-0.1', '"-0.1" is not a share (0 to 1)'],
  [{ kind: 'share' }, '50%', '"50%" is not a share (0 to 1)'],
  [{ kind: 'share' }, '.', '"." is not a share (0 to 1)'],
  [{ kind: 'share' }, '', '"" is not a share (0 to 1)'],
  [{ kind: 'time' }, '1m30s', '"1m30s" is not a time (a positive whole number, then us, ms, s, m, h or d; none is ms)'],
  [{ kind: 'delay' }, 'soon', '"soon" is not a time (such as 45s, 1m30s or 0)'],
  [{ kind: 'seconds' }, '-1', '"-1" is not a time (a whole number of seconds, or such as 90s or 1m30s)'],
  [choice, 'Append', '"Append" is not one of append, if-none'],
  [choice, '', '"" is not one of append, if-none'],
  [{ kind: 'domain' }, '*.example.test', '"*.example.test" is not a domain name'],
  [{ kind: 'domain' }, 'a b', '"a b" is not a domain name'],
  [{ kind: 'address' }, 'localhost', '"localhost" is not an IP address'],
  [{ kind: 'address' }, '127.1', '"127.1" is not an IP address'],
  [{ kind: 'address' }, '256.0.0.1', '"256.0.0.1" is not an IP address'],
  [{ kind: 'address' }, '1.2.3.4.', '"1.2.3.4." is not an IP address'],
  [{ kind: 'address' }, '1.2.3.4.5', '"1.2.3.4.5" is not an IP address'],
  [{ kind: 'address' }, '[::]', '"[::]" is not an IP address'],
  [{ kind: 'address' }, ':', '":" is not an IP address'],
  [{ kind: 'address' }, '1::2::3', '"1::2::3" is not an IP address'],
  [{ kind: 'address' }, '', '"" is not an IP address'],
  ...['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', '/8', '10.0.0.0/-1', '10/8', 'a.test', '::%lo/64'].map(
    (text) => [{ kind: 'networks' }, text, `"${text}" is not an IP address or a network (such as 10.0.0.0/8)`] as const,
  ),
  ...['', '  ', '//', 'x- /value', 'text/html,text/css', 'a/b/c', '*/*'].map(
    (text) =>
      [{ kind: 'media-types' }, text, `"${text}" is not a list of media types (such as text/html text/css)`] as const,
  ),
  [{ kind: 'networks' }, '10.0.0.0/8,x', '"x" is not an IP address or a network (such as 10.0.0.0/8)'],
];

describe('readValue', () => {
  test.each(accepted)('%o takes %o', (kind, text, value) => {
    expect(readValue(kind, text, 'strict')).toEqual({ kind: 'value', value });
  });

  test.each(refused)('%o refuses %o', (kind, text, because) => {
    expect(readValue(kind, text, 'strict')).toEqual({ kind: 'problem', because });
  });

  test.each(['yes', 'on', 'tRUE', '2', 'false'])('the OpenShift router reads the switch %o as false', (text) => {
    expect(readValue({ kind: 'switch' }, text, 'lenient')).toEqual({ kind: 'value', value: false });
  });

  test.each(['auto', 'none', '-1', '1.5'])('the OpenShift router takes the limit %o for automatic', (text) => {
    expect(readValue(limit, text, 'lenient')).toEqual({ kind: 'value', value: 0 });
  });

  test('a number over the limit is refused from everywhere', () => {
    expect(readValue(limit, '1001', 'lenient').kind).toBe('problem');
  });
});

// The ids are those of Route semantics 8.12.
const times: readonly (readonly [id: string, text: string, ms: number | undefined])[] = [
  ...[' 1m', '1m ', '1 m', '0', 'm', '', '+100', '-100', '-1us', '/', '123ns', 'invalid'].map(
    (text) => ['N1', text, undefined] as const,
  ),
  ['N2', '1', 1],
  ['N3', '1us', 1],
  ['N3', '1ms', 1],
  ['N3', '1s', 1000],
  ['N3', '1m', 60_000],
  ['N3', '1h', 3_600_000],
  ['N3', '1d', 86_400_000],
  ...['9223372036854775us', '9223372036854ms', '9223372036s', '153722867m', '2562047h', '106751d'].map(
    (text) => ['N4', text, MAX_TIME_MS] as const,
  ),
  ...['9223372036854776us', '9223372036855ms', '9223372037s', '153722868m', '2562048h', '106752d'].map(
    (text) => ['N5', text, MAX_TIME_MS] as const,
  ),
  ['N5', '18446744073709551615us', MAX_TIME_MS],
  ...['', 's', '0', '01s', '1.5.8.9', '1.5s', '+-+', '24d1', '1d12h', 'foo', '2562047.99h'].map(
    (text) => ['N10', text, undefined] as const,
  ),
  ['N11', '10', 10],
  ['N11', '10s', 10_000],
  ['N11', '10d', 864_000_000],
  ['N11', '24d', 2_073_600_000],
  ['N11', '2147483647ms', MAX_TIME_MS],
  ...['100d', '1000h', '2147483648', '9223372036855ms', '9223372036854776us', '100000000000s'].map(
    (text) => ['N12', text, MAX_TIME_MS] as const,
  ),
  ...['922337203685477581ms', '9223372036854775807', '9999999999999999'].map(
    (text) => ['N12', text, MAX_TIME_MS] as const,
  ),
  ['round up', '1001us', 2],
  ['round up', '2000us', 2],
  ['line end', '1s\n', undefined],
  ['out of range', `1${'0'.repeat(400)}s`, MAX_TIME_MS],
];

describe('timeMs', () => {
  test.each(times)('%s: %o', (_id, text, ms) => {
    expect(timeMs(text)).toBe(ms);
  });
});

const delays: readonly (readonly [text: string, ms: number | undefined])[] = [
  ['45s', 45_000],
  ['1m30s', 90_000],
  ['1h1m1s1ms', 3_661_001],
  ['1.5h', 5_400_000],
  ['1.1s', 1100],
  ['.5s', 500],
  ['1.s', 1000],
  ['0', 0],
  ['0s', 0],
  ['1ns', 1],
  ['3µs', 1],
  ['3μs', 1],
  ['100', 100],
  ['2d', 172_800_000],
  ['1000h', MAX_TIME_MS],
  ['', undefined],
  ['s', undefined],
  ['-1s', undefined],
  ['+1s', undefined],
  ['1m30', undefined],
  ['1d12h', undefined],
  ['1 m', undefined],
  ['.s', undefined],
  ['00', undefined],
];

describe('delayMs', () => {
  test.each(delays)('%o', (text, ms) => {
    expect(delayMs(text)).toBe(ms);
  });

  test('reads every time of the HAProxy pattern as timeMs does', () => {
    const units = fc.constantFrom('', 'us', 'ms', 's', 'm', 'h', 'd');
    fc.assert(
      fc.property(fc.integer({ min: 1 }), units, (count, unit) => {
        expect(delayMs(`${count}${unit}`)).toBe(timeMs(`${count}${unit}`));
      }),
    );
  });
});

describe('secondsMs', () => {
  test.each([
    ['30', 30_000],
    ['0', 0],
    ['030', 30_000],
    ['30ms', 30],
    ['1m30s', 90_000],
    ['99999999999', MAX_TIME_MS],
    ['', undefined],
    ['1.5', undefined],
  ])('%o', (text, ms) => {
    expect(secondsMs(text)).toBe(ms);
  });
});

describe('quoted', () => {
  test.each([
    ['abc', '"abc"'],
    ['a"b', '"a\\"b"'],
    ['', '""'],
    ['-----BEGIN EC PRIVATE KEY-----', '(a text of 30 characters)'],
    ['one\ntwo', '(a text of 7 characters)'],
    ['k'.repeat(121), '(a text of 121 characters)'],
  ])('%o', (text, shown) => {
    expect(quoted(text)).toBe(shown);
  });
});
