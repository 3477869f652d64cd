// Golden cases of the reference (observed 10, 12, 13, 14; Route semantics 8.14, 8.17): who is let in and how often, how long a pod
// may take, and HSTS, from the annotations of Routes to what clients get.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../support/certificates.ts';
import { cases, type GoldenCase, type Row } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import { type Ask, GoldenRouter, toldValues } from '../../support/golden/router.ts';
import { aRoute, type RouteBuilder } from '../../support/manifests.ts';
import { getRequest } from '../../support/peers.ts';

const openshift = 'haproxy.router.openshift.io';
const allow = `${openshift}/ip_allowlist`;
const oldAllow = `${openshift}/ip_whitelist`;
const limit = `${openshift}/rate-limit-connections`;
const hsts = `${openshift}/hsts_header`;

let made = 0;

/** A Route on a host of its own. */
function fresh(annotations: Readonly<Record<string, string>> = {}, pod = 's0'): RouteBuilder {
  const host = `h${made++}.x.test`;
  return Object.entries(annotations).reduce(
    (route, [name, value]) => route.annotation(name, value),
    aRoute(`${namespace}/${host}`).host(host).to(pod),
  );
}

let golden: GoldenRouter;
beforeAll(async () => {
  const podPair = makeCertificate({ names: ['t0.diff-a.svc'] });
  const tls = { cert: podPair.certificate, key: podPair.key };
  golden = await GoldenRouter.start([...numberedServices(1), { service: 't0', pods: ['t0'], tls }], []);
});
afterAll(() => golden[Symbol.asyncDispose]());

/** Puts a Route in force and answers its host. */
function serve(route: RouteBuilder): string {
  const built = route.build();
  golden.router.put(built);
  return built.host;
}

describe('observed 10: timeouts, answer after 1500 ms', () => {
  const rows = cases<string>([
    ['ms', '500', '504'],
    ['s', '1s', '504'],
    ['frac', '0.5s', '200'],
    ['neg', '-1s', '200'],
    ['zero', '0', '200'],
    ['blank', ' 500ms', '200'],
    ['comp', '1s500ms', '200'],
    ['huge', '9000d', '200'],
    ['us', '600000us', '504'],
  ]);
  const statuses: Map<string, string> = new Map();
  // All at once, as each takes its time.
  beforeAll(async () => {
    const asked = rows.map(async ({ name, input }) => {
      using client = await golden.connect();
      await client.write(getRequest(serve(fresh({ [`${openshift}/timeout`]: input })), '/?_do=delay=1500'));
      statuses.set(name, String((await client.message()).status));
    });
    await Promise.all([...asked, untilCut()]);
  });

  let isKept = false;
  /** An idle WebSocket whose own time is over, and one whose pod should long have answered. */
  async function untilCut(): Promise<void> {
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
    using cut = await golden.connect();
    using kept = await golden.connect();
    await kept.write(getRequest(serve(fresh({ [`${openshift}/timeout`]: '600ms' })), '/', upgrade));
    await cut.write(getRequest(serve(fresh({ [`${openshift}/timeout-tunnel`]: '1200ms' })), '/', upgrade));
    for (const client of [kept, cut]) expect(await client.untilText('\r\n\r\n')).toMatch(/^HTTP\/1\.1 101 /);
    await cut.ended;
    isKept = kept.end === null;
  }

  test.each(rows)('$name', ({ name, expected }) => {
    expect(statuses.get(name)).toBe(expected);
  });

  test('timeout-tunnel cuts an idle WebSocket, timeout alone does not', () => {
    expect(isKept).toBe(true);
  });
});

describe('observed 12: ip_allowlist', () => {
  const refused = '403 source-not-allowed';
  const letIn = '200 s0 GET /';
  const closed = '`ip_allowlist`: a client that is not in it';
  const typo = '`ip_allowlist`: commas, outer blanks; nothing valid in it';
  const seventy = Array.from({ length: 70 }, (_, i) => `10.0.0.${i}`).join(' ');
  type Wish = { readonly annotations: Readonly<Record<string, string>> } & Ask;
  const list = (value: string, ask: Ask = {}): Wish => ({ annotations: { [allow]: value }, ...ask });
  const p1 =
    '192.168.1.0 2001:0db8:85a3:0000:0000:8a2e:0370:7334 172.16.14.10/24 2001:0db8:85a3::8a2e:370:10/64 64:ff9b::192.168.0.1 2600:14a0::/40';

  test.each(
    cases<Wish>([
      ['ok', list('127.0.0.0/8'), letIn],
      ['one', list('127.0.0.77'), refused, closed],
      ['other', list('10.0.0.1'), refused, closed],
      ['comma', list('10.0.0.1,10.0.0.2'), refused, typo],
      ['outer', list(' 10.0.0.1'), refused, typo],
      ['bad', list('garbage'), refused, typo],
      ['mixed', list('garbage 10.0.0.1'), refused, closed],
      ['hostbits', list('127.0.0.9/8'), letIn],
      ['v6', list('::1'), refused, closed],
      ['many, S1', list(seventy), refused, closed],
      ['tab', list('10.0.0.1\t127.0.0.77'), refused, closed],
      ['tab, from the second', list('10.0.0.1\t127.0.0.77', { from: '127.0.0.77' }), letIn],
      ['legacy', { annotations: { [oldAllow]: '10.0.0.1' } }, refused, closed],
      ['both', { annotations: { [oldAllow]: '10.0.0.1', [allow]: '127.0.0.1' } }, letIn],
      ['one: from the listed address', list('127.0.0.77', { from: '127.0.0.77' }), letIn],
      ['XFF does not help', list('10.0.0.1', { lines: 'X-Forwarded-For: 10.0.0.1\r\n' }), refused, closed],
      ['Route semantics S2: ip_allowlist', list(`${p1} 127.0.0.1`), letIn],
      ['Route semantics S2: ip_whitelist', { annotations: { [oldAllow]: `${p1} 127.0.0.1` } }, letIn],
      [
        'Route semantics P7: a bad one among good ones',
        list('192.168.1.0 2001:0db8:85a3:0000:0000:8a2e:0370 127.0.0.1 10.'),
        letIn,
      ],
    ]),
  )('$name', async ({ input: { annotations, ...ask }, expected }) => {
    expect((await golden.ask({ host: serve(fresh(annotations)), ...ask })).words).toBe(expected);
  });

  test.each(
    cases<Ask['over']>([
      ['edge h1', 'https', refused, closed],
      ['edge h2', 'h2', refused, closed],
      ['h2c', 'h2c', refused, closed],
    ]),
  )('$name', async ({ input: over = 'http', expected }) => {
    const host = serve(
      fresh({ [allow]: '10.0.0.1' })
        .edge()
        .insecure('Allow'),
    );
    expect((await golden.ask({ host, over })).words).toBe(expected);
  });

  test('passthrough: cut during the handshake', async () => {
    const host = serve(fresh({ [allow]: '10.0.0.1' }, 't0').passthrough());
    expect((await golden.ask({ host, over: 'https' })).words).toBe('cut');
  });

  test('a redirect comes before', async () => {
    const host = serve(
      fresh({ [allow]: '10.0.0.1' })
        .edge()
        .insecure('Redirect'),
    );
    expect((await golden.ask({ host })).words).toBe(`302 https://${host}:28443/`);
  });
});

describe('observed 13: rate limits', () => {
  const over = 'rate limits: over the limit';
  const counts = '`rate-tcp`, `concurrent-tcp`: N';
  type Limits = Readonly<Record<string, string>>;
  const on: Limits = { [limit]: 'true' };
  const rate = (kind: string, value: string): Limits => ({ ...on, [`${limit}.${kind}`]: value });
  const statuses = (letIn: number, all = 8): string =>
    Array.from({ length: all }, (_, i) => (i < letIn ? 200 : 429)).join(' ');

  test.each(
    cases<Limits>([
      ['rate-http 5', rate('rate-http', '5'), statuses(5), over],
      ['rate-tcp 5', rate('rate-tcp', '5'), statuses(5), counts],
      ['concurrent-tcp 0', rate('concurrent-tcp', '0'), statuses(0), over],
      ['rate-http -1', rate('rate-http', '-1'), statuses(0), over],
      ['rate-http x', rate('rate-http', 'x'), statuses(8)],
      ['only the switch', on, statuses(8)],
      ['value without the switch', { [`${limit}.rate-http`]: '1' }, statuses(8)],
    ]),
  )('$name, 8 new connections', async ({ input, expected }) => {
    const host = serve(fresh(input));
    const words: string[] = [];
    for (let i = 0; i < 8; i++) words.push((await golden.ask({ host })).words.slice(0, 3));
    expect(words.join(' ')).toBe(expected);
  });

  test.each(
    cases<Limits>([
      ['rate-http 5', rate('rate-http', '5'), statuses(5), over],
      ['rate-tcp 3', rate('rate-tcp', '3'), statuses(8), counts],
    ]),
  )('$name, 8 requests on one connection', async ({ input, expected }) => {
    const host = serve(fresh(input));
    using client = await golden.connect();
    const words: number[] = [];
    for (let i = 0; i < 8; i++) {
      await client.write(getRequest(host));
      words.push((await client.message()).status);
    }
    expect(words.join(' ')).toBe(expected);
  });

  test.each(cases<Limits>([['concurrent-tcp 2', rate('concurrent-tcp', '2'), statuses(2, 4), counts]]))(
    '$name, 4 at once',
    async ({ input, expected }) => {
      const host = serve(fresh(input));
      const clients = [await golden.connect(), await golden.connect(), await golden.connect(), await golden.connect()];
      const words: number[] = [];
      for (const client of clients) {
        await client.write(getRequest(host));
        words.push((await client.message()).status);
      }
      for (const client of clients) client[Symbol.dispose]();
      expect(words.join(' ')).toBe(expected);
    },
  );

  test('pod-concurrent-connections 1, 3 at once: one after the other', async () => {
    const host = serve(fresh({ [`${openshift}/pod-concurrent-connections`]: '1' }));
    const startedMs = performance.now();
    const told = await Promise.all(
      [0, 1, 2].map(async () => {
        using client = await golden.connect();
        await client.write(getRequest(host, '/?_do=delay=100'));
        return (await client.message()).status;
      }),
    );
    expect(told).toEqual([200, 200, 200]);
    expect(performance.now() - startedMs).toBeGreaterThan(290);
  });
});

describe('observed 14, Route semantics S3 to S6: HSTS', () => {
  const values: readonly Row<string>[] = [
    ...[
      'max-age=31536000',
      'max-age=31536000;includeSubDomains;preload',
      'max-age=99999;includeSubDomains',
      'includeSubDomains; max-age=1',
      'max-age=99999 ;  includesubdomains;  PREload',
      'max-age="99999"',
      'max-age  =  "99999"',
      'MAX-AGE=5',
      'max-age=0',
    ].map((value): Row<string> => [value, value, value]),
    ...[
      'min-age=1',
      'max-age=1;wrong',
      'max-age=1;includesubdomain',
      'max-age=1;',
      'max-age=',
      "max-age=1; preload'",
    ].map((value): Row<string> => [value, value, '']),
    [' max-age=1', ' max-age=1', 'max-age=1', '`hsts_header` with blanks around it'],
  ];
  test.each(cases(values))("'$name'", async ({ input, expected }) => {
    const told = await golden.ask({ host: serve(fresh({ [hsts]: input }).edge()), over: 'https' });
    expect(toldValues(told, 'strict-transport-security').join(' | ')).toBe(expected);
  });

  type Wish = { readonly route: RouteBuilder; readonly ask: Ask };
  const seven = { [hsts]: 'max-age=7' };
  const allowed = (): RouteBuilder => fresh(seven).edge().insecure('Allow');
  const from = (target: string): Ask => ({ over: 'https', target });
  const check = async ({ input, expected }: GoldenCase<Wish>): Promise<void> => {
    const told = await golden.ask({ host: serve(input.route), ...input.ask });
    const value = toldValues(told, 'strict-transport-security').join(' | ');
    expect(`${told.words.slice(0, 3)} ${value}`).toBe(expected);
  };
  test.each(
    cases<Wish>([
      ['Allow, https', { route: allowed(), ask: { over: 'https' } }, '200 max-age=7'],
      ['Allow, http', { route: allowed(), ask: {} }, '200 max-age=7'],
      ['Redirect answer', { route: fresh(seven).edge().insecure('Redirect'), ask: {} }, '302 '],
      ['plain Route', { route: fresh(seven), ask: {} }, '200 '],
      ['503 of the Route', { route: fresh(seven, 'nobody').edge(), ask: { over: 'https' } }, '503 '],
      ['re-encrypt', { route: fresh(seven, 't0').reencrypt(), ask: { over: 'https' } }, '200 max-age=7'],
      [
        'replaces the one of the pod',
        { route: allowed(), ask: from('/?_do=h=Strict-Transport-Security:max-age%3D3') },
        '200 max-age=7',
      ],
      [
        'of the pod, none of the Route',
        { route: fresh().edge(), ask: from('/?_do=h=Strict-Transport-Security:max-age%3D3') },
        '200 max-age=3',
      ],
      ['error status of the pod', { route: allowed(), ask: from('/?_do=status=500') }, '500 max-age=7'],
      ['backend closes: 502', { route: allowed(), ask: from('/?_do=close') }, '502 '],
    ]),
  )('$name', check);
});
