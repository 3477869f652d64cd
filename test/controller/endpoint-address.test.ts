import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isDialable } from '../../src/controller/endpoint-address.ts';

describe('addresses that no Route may lead to (Route semantics 2.4, 8.9)', () => {
  test.each([
    [
      'K1',
      ['8.8.8.8', '10.0.0.1', '192.168.7.9', '23.206.60.92', '2001:db8::1', 'fd00::1', '128.0.0.1', '126.255.255.255'],
    ],
    [
      'K2 loopback',
      null,
      ['127.0.0.1', '127.127.127.222', '127.172.127.172', '127.255.255.255', '::1', '0:0:0:0:0:0:0:1'],
    ],
    ['K3 link-local', null, ['169.254.169.254', '169.254.1.1', 'fe80::1', 'FE80::1', 'febf:ffff::1']],
    ['K4 cloud metadata', null, ['168.63.129.16', 'fd00:ec2::254', 'fd00:0ec2:0:0:0:0:0:254']],
    ['K5 unspecified', null, ['0.0.0.0', '::', '0:0:0:0:0:0:0:0']],
    ['K6 multicast', null, ['224.0.0.1', '239.255.255.250', 'ff02::1', 'ff0e::1']],
    [
      'K7 IPv4-mapped',
      null,
      [
        '::ffff:127.0.0.1',
        '::ffff:7f00:1',
        '::FFFF:127.127.127.222',
        '::ffff:169.254.169.254',
        '::ffff:a9fe:a9fe',
        '0:0:0:0:0:ffff:7f00:0001',
        '::ffff:0.0.0.0',
        '::ffff:224.0.0.1',
        '::ffff:168.63.129.16',
      ],
    ],
    [
      'K8 IPv4-compatible',
      null,
      [
        '::a9fe:a9fe',
        '::169.254.169.254',
        '::127.0.0.1',
        '::7f00:1',
        '::127.172.127.172',
        '::7fac:7fac',
        '::168.63.129.16',
        '::224.0.0.1',
        '::239.255.255.250',
      ],
    ],
    [
      'K9 no IP literal',
      null,
      [
        'evil.example.com',
        '',
        'metadata.google.internal',
        'localhost',
        '127.1',
        '0177.0.0.1',
        '2130706433',
        '10.0.0',
        ' 10.0.0.1',
        '[::1]',
      ],
    ],
    ['with a zone: no IP literal either', null, ['2001:db8::1%eth0', 'fe80::1%eth0', '::1%lo', '::ffff:127.0.0.1%lo']],
    [
      'neighbours of what is refused',
      ['169.253.255.255', '169.255.0.0', '168.63.129.17', 'fd00:ec2::253', 'fec0::1', '223.255.255.255', '::8000:1'],
    ],
  ] as [string, string[] | null, string[]?][])('%s', (_, dialable, refused = []) => {
    expect((dialable ?? []).filter((address) => !isDialable(address, false))).toEqual([]);
    expect(refused.filter((address) => isDialable(address, false))).toEqual([]);
  });

  test('loopback on demand, and nothing else with it', () => {
    const loopback = ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::127.0.0.1'];
    const stillRefused = [
      '0.0.0.0',
      '::',
      '169.254.169.254',
      'fe80::1',
      '224.0.0.1',
      '::ffff:169.254.169.254',
      'localhost',
      '::1%lo',
    ];
    expect(loopback.filter((address) => !isDialable(address, true))).toEqual([]);
    expect(stillRefused.filter((address) => isDialable(address, true))).toEqual([]);
  });

  test('an IPv4 address is judged the same in each of its spellings', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const interesting = fc.constantFrom([127, 0], [169, 254], [0, 0], [224, 0], [168, 63], [10, 0]);
    const address = fc.oneof(
      fc.tuple(octet, octet, octet, octet),
      fc.tuple(interesting, octet, octet).map(([[a = 0, b = 0], c, d]) => [a, b, c, d] as const),
    );
    fc.assert(
      fc.property(address, fc.boolean(), ([a, b, c, d], allowLoopback) => {
        const dotted = `${a}.${b}.${c}.${d}`;
        const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
        const verdict = isDialable(dotted, allowLoopback);
        for (const spelling of [`::ffff:${dotted}`, `::ffff:${hex}`, `0:0:0:0:0:FFFF:${hex}`]) {
          expect(isDialable(spelling, allowLoopback), spelling).toBe(verdict);
        }
        // `::1` is the loopback of IPv6 before it is the IPv4-compatible form of 0.0.0.1.
        if (dotted !== '0.0.0.1') expect(isDialable(`::${dotted}`, allowLoopback), `::${dotted}`).toBe(verdict);
      }),
    );
  });
});
