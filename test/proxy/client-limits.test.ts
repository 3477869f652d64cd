import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientLimits, type HandshakeHolder } from '../../src/proxy/listener/client-limits.ts';
import { connectionLimit, shareOf } from '../../src/proxy/listener/limits.ts';
import { TrustedSources } from '../../src/proxy/listener/trusted-sources.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

const unlimited = { maxConnectionsPerSource: 0, maxHandshakes: 0, maxHandshakesPerSource: 0 };

function limits(settings: Partial<typeof unlimited>, workers = 1): { limits: ClientLimits; metrics: Metrics } {
  const metrics = new Metrics();
  return { limits: new ClientLimits({ ...unlimited, ...settings }, workers, metrics), metrics };
}

function refused(metrics: Metrics, listener: string, limit: string): number {
  return metrics.series('headgate_connections_refused_total', listener, limit).value;
}

/** A handshake that ends as a Session ends its own when it is cut. */
class Handshake implements HandshakeHolder {
  readonly #limits: ClientLimits;
  readonly #address: string;
  cut = false;

  constructor(of: ClientLimits, address = '192.0.2.1') {
    this.#limits = of;
    this.#address = address;
  }

  begin(nowMs = 0): string {
    return this.#limits.beginHandshake(this, this.#limits.sourceOf(this.#address), nowMs);
  }

  end(): void {
    this.#limits.endHandshake(this, this.#limits.sourceOf(this.#address));
  }

  cutHandshake(): void {
    this.cut = true;
    this.end();
  }
}

describe('sources', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['2001:db8::1', '2001:db8::ffff:0:0:1', true],
    ['2001:db8::1', '2001:db8:0:0:8000::', true],
    ['2001:db8::1', '2001:db8:0:1::1', false],
    ['2001:db8:1:2::', '2001:db8:1:2:3:4:5:6', true],
    ['fe80::1%lo', 'fe80::2%lo', true],
    ['::1', '192.0.2.1', false],
    ['', '', true],
  ])('%o and %o are one: %s', (one, other, same) => {
    const { limits: of } = limits({ maxConnectionsPerSource: 1 });
    expect(of.sourceOf(one) === of.sourceOf(other)).toBe(same);
  });

  test('nothing is kept where nothing is limited', () => {
    const { limits: of } = limits({});
    const source = of.sourceOf('192.0.2.1');
    expect(source).toBeNull();
    for (let i = 0; i < 100; i++) expect(of.mayConnect(source, 'http')).toBe(true);
    const handshakes = Array.from({ length: 100 }, () => new Handshake(of));
    for (const handshake of handshakes) expect(handshake.begin()).toBe('begun');
    expect([of.sources, of.handshakes]).toEqual([0, 0]);
  });

  test('connections of a source, against counting by hand; what holds nothing is forgotten', () => {
    const step = fc.record({ address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'), comes: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (steps, limit) => {
        const { limits: of, metrics } = limits({ maxConnectionsPerSource: limit });
        const held: string[] = [];
        let turnedAway = 0;
        for (const { address, comes } of steps) {
          const source = of.sourceOf(address);
          const holds = held.filter((one) => one === address).length;
          if (comes) {
            const fits = holds < limit;
            expect(of.mayConnect(source, 'http')).toBe(fits);
            if (fits) held.push(address);
            else turnedAway++;
          } else if (holds > 0) {
            held.splice(held.indexOf(address), 1);
            of.disconnected(source);
          }
          expect(of.sources).toBe(new Set(held).size);
        }
        expect(refused(metrics, 'http', 'connections-per-source')).toBe(turnedAway);
      }),
    );
  });

  test('each of several workers has its share, rounded up', () => {
    const { limits: of } = limits({ maxConnectionsPerSource: 10 }, 4);
    const source = of.sourceOf('192.0.2.1');
    expect(Array.from({ length: 4 }, () => of.mayConnect(source, 'https'))).toEqual([true, true, true, false]);
    expect(shareOf(0, 4)).toBe(0);
    expect(connectionLimit(10, 4, 100_000)).toBe(3);
  });
});

describe('handshakes', () => {
  test('over the limit the newcomer is refused, until the eldest is slow', () => {
    const { limits: of, metrics } = limits({ maxHandshakes: 2 });
    const [first, second, third, fourth] = [new Handshake(of), new Handshake(of), new Handshake(of), new Handshake(of)];
    expect(first.begin(0)).toBe('begun');
    expect(second.begin(500)).toBe('begun');
    expect(third.begin(999)).toBe('handshake-limit');
    expect(third.begin(1000)).toBe('begun');
    expect([first.cut, second.cut, third.cut]).toEqual([true, false, false]);
    expect(fourth.begin(1400)).toBe('handshake-limit');
    second.end();
    expect(fourth.begin(1400)).toBe('begun');
    expect(of.handshakes).toBe(2);
    expect(refused(metrics, 'https', 'handshakes')).toBe(3);
  });

  test('of one source; others are not concerned', () => {
    const { limits: of, metrics } = limits({ maxHandshakesPerSource: 1 });
    const [first, second, other] = [new Handshake(of), new Handshake(of), new Handshake(of, '192.0.2.2')];
    expect(first.begin()).toBe('begun');
    expect(second.begin()).toBe('source-limit');
    expect(other.begin()).toBe('begun');
    first.end();
    expect(second.begin()).toBe('begun');
    second.end();
    other.end();
    expect(of.sources).toBe(0);
    expect(refused(metrics, 'https', 'handshakes-per-source')).toBe(1);
  });

  test('one that is refused by the one limit is not counted by the other', () => {
    const { limits: of } = limits({ maxHandshakes: 1, maxHandshakesPerSource: 1 });
    const [first, second] = [new Handshake(of), new Handshake(of, '192.0.2.2')];
    first.begin(0);
    expect(second.begin(0)).toBe('handshake-limit');
    first.end();
    expect(second.begin(0)).toBe('begun');
    second.end();
    expect([of.sources, of.handshakes]).toEqual([0, 0]);
  });
});

describe('who is believed', () => {
  test.each([
    [[], '192.0.2.1', true],
    [[], '', true],
    [['10.0.0.0/8', '2001:db8::/32'], '10.255.0.1', true],
    [['10.0.0.0/8', '2001:db8::/32'], '11.0.0.1', false],
    [['10.0.0.0/8', '2001:db8::/32'], '2001:db8::1', true],
    [['10.0.0.0/8', '2001:db8::/32'], '2001:db9::1', false],
    [['10.0.0.0/8'], '', false],
    [['192.0.2.1/32'], '192.0.2.1', true],
    [['192.0.2.1/32'], '192.0.2.2', false],
    [['10.1.2.3/8'], '10.9.9.9', true],
    [['0.0.0.0/0'], '203.0.113.7', true],
    [['0.0.0.0/0'], '2001:db8::1', false],
    [['fe80::/10'], 'fe80::1%lo', true],
  ])('%j believes %o: %s', (networks, address, expected) => {
    expect(new TrustedSources(networks).has(address)).toBe(expected);
  });
});
