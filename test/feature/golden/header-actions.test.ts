// Golden cases of the reference (observed 15; Route semantics 8.17): header actions of Routes, from the objects that users write to
// what pods and clients get.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeManifest } from '../../../src/source/decode-manifest.ts';
import type { Manifest } from '../../../src/source/manifests.ts';
import { type NamedAction, observedActions } from '../../support/golden/actions.ts';
import { cases, type GoldenCase } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import {
  type Ask,
  forwardingFields,
  GoldenRouter,
  seenLines,
  toldLines,
  toldValues,
} from '../../support/golden/router.ts';
import { aRouteObject } from '../../support/objects.ts';

/** A Route object as a user writes it, decoded. */
function acting(
  host: string,
  request: readonly NamedAction[],
  response: readonly NamedAction[],
  spec: object = {},
): Manifest {
  const listed = (actions: readonly NamedAction[]): object[] =>
    actions.map(([name, value]) => ({
      name,
      action: value === null ? { type: 'Delete' } : { type: 'Set', set: { value } },
    }));
  const httpHeaders = { actions: { request: listed(request), response: listed(response) } };
  const decoded = decodeManifest(aRouteObject(namespace, host, host, 's0', { httpHeaders, ...spec }));
  if (decoded.kind !== 'manifest') throw new Error(JSON.stringify(decoded));
  return decoded.manifest;
}

describe('observed 15: header actions of Routes', () => {
  let golden: GoldenRouter;
  const edge = { tls: { termination: 'edge' } };
  const redirect = { tls: { termination: 'edge', insecureEdgeTerminationPolicy: 'Redirect' } };
  beforeAll(async () => {
    const frame: NamedAction = ['X-R', '1'];
    golden = await GoldenRouter.start(numberedServices(1), [
      acting('set.a.test', observedActions, []),
      acting(
        'res.a.test',
        [],
        [
          ['X-Frame-Options', 'DENY'],
          ['X-Gone', null],
          ['X-Src', '%[res.hdr(x-up),lower]'],
          ['X-Hex', '%{+X}[res.hdr(x-up)]'],
          ['X-Esc', '%{+E}[res.hdr(x-up)]'],
          ['Server', 'mine'],
          ['Cache-Control', 'no-store'],
        ],
      ),
      acting('host.a.test', [['Host', 'inner.test']], []),
      acting('dynhost.a.test', [['Host', '%[req.hdr(x-new-host)]']], []),
      acting('xff.a.test', [['X-Forwarded-For', 'me']], []),
      acting(
        'case.a.test',
        [
          ['X-A', '1'],
          ['x-a', '2'],
        ],
        [],
      ),
      acting(
        'order.a.test',
        [
          ['X-A', '%[req.hdr(x-b)]'],
          ['X-B', 'new'],
        ],
        [],
      ),
      acting(
        'hop.a.test',
        [
          ['Connection', 'close'],
          ['Transfer-Encoding', 'chunked'],
        ],
        [],
      ),
      acting('length.a.test', [], [['Content-Length', null]]),
      acting('empty.a.test', [], [frame], { to: { kind: 'Service', name: 'nobody' } }),
      acting('redir.a.test', [], [frame], redirect),
      acting('edge.a.test', [['X-Cert', '%{+Q}[ssl_c_der,base64]']], [['X-Cert', '%[ssl_c_der,base64]'], frame], edge),
      acting(
        'quoted.a.test',
        [['x-quoted', `"shouldn't break"`]],
        [
          ['x-quoted', `"shouldn't break"\\`],
          ['x-foo', 'foo if bar'],
        ],
      ),
      acting(
        'braces.a.test',
        [],
        [
          ['X-First', 'text/}plain,text/html{'],
          ['X-Up', null],
        ],
      ),
    ]);
  });
  afterAll(() => golden[Symbol.asyncDispose]());

  const set = (value: string, last = value, base64 = ''): string =>
    `x-one: a b; x-dyn: set.a.test; x-pct: 100%; x-if: v if foo; x-env: \${HOME}; x-quote: it's "q" \\ #; x-b64: ${base64}; ` +
    `x-q: ${last}; x-qe:; x-cert:; x-two2: ${last}-${last.toLowerCase()}; x-empty:`;
  const framing = 'fields that delimit messages or rule connections';
  test.each(
    cases<Ask>([
      [
        'request set and delete',
        { host: 'set.a.test', lines: 'X-Two: 2\r\nX-In: AbC\r\nX-One: 1\r\nX-One: 2\r\n' },
        `x-in: AbC; ${set('AbC', 'AbC', 'QWJD')}`,
      ],
      [
        'dynamic value, header twice',
        { host: 'set.a.test', lines: 'X-In: first\r\nX-In: Second\r\n' },
        `x-in: first; x-in: Second; ${set('', 'Second', 'U2Vjb25k')}`,
      ],
      ['dynamic value, list', { host: 'set.a.test', lines: 'X-In: p, Q\r\n' }, `x-in: p, Q; ${set('', 'Q', 'UQ==')}`],
      ['Host set', { host: 'host.a.test' }, 'host: inner.test'],
      [
        'Host set dynamically',
        { host: 'dynhost.a.test', lines: 'X-New-Host: n.test\r\n' },
        'x-new-host: n.test; host: n.test',
      ],
      ['two spellings', { host: 'case.a.test' }, 'x-a: 2'],
      ['order', { host: 'order.a.test', lines: 'X-B: b\r\n' }, 'x-a: b; x-b: new'],
      ['Connection and Transfer-Encoding set', { host: 'hop.a.test' }, '', framing],
      ['ssl_c_der without client certificate', { host: 'edge.a.test', over: 'https' }, 'x-cert:'],
      ['Route semantics S7: quotes', { host: 'quoted.a.test' }, `x-quoted: "shouldn't break"`],
    ]),
  )('$name', async ({ input, expected }: GoldenCase<Ask>) => {
    const except = new RegExp(`${forwardingFields.source}|^host: [a-z]+\\.a\\.test$`);
    expect(seenLines(await golden.ask(input), except).join('; ')).toBe(expected);
  });

  test('Route semantics 5.6: Host set, the forwarding headers say what was asked for', async () => {
    const told = await golden.ask({ host: 'host.a.test' });
    expect(seenLines(told, /^(?!x-forwarded-host)/)).toEqual(['x-forwarded-host: host.a.test']);
  });

  test('X-Forwarded-For set', async () => {
    const told = await golden.ask({ host: 'xff.a.test' });
    expect(seenLines(told).filter((line) => line.startsWith('x-forwarded-for:'))).toEqual(['x-forwarded-for: me']);
  });

  const said = (target: string): Ask => ({ host: 'res.a.test', target });
  test.each(
    cases<Ask>([
      [
        'response set and delete',
        said('/?_do=h=X-Gone:1&_do=h=X-Up:AbC&_do=h=Server:pod'),
        'x-up: AbC; x-frame-options: DENY; x-src: abc; x-hex: AbC; x-esc: AbC; server: mine; cache-control: no-store',
      ],
      [
        'response value missing',
        said('/'),
        'x-frame-options: DENY; x-src: ; x-hex: ; x-esc: ; server: mine; cache-control: no-store',
      ],
      [
        'error status of the pod',
        said('/?_do=status=500'),
        'x-frame-options: DENY; x-src: ; x-hex: ; x-esc: ; server: mine; cache-control: no-store',
      ],
      ['answer made by the router: 503', { host: 'empty.a.test' }, ''],
      [
        'answer made by the router: redirect',
        { host: 'redir.a.test' },
        'location: https://redir.a.test:28443/; cache-control: no-cache',
      ],
      ['ssl_c_der without client certificate', { host: 'edge.a.test', over: 'https' }, 'x-cert: ; x-r: 1'],
      ['backend closes: 502', { host: 'edge.a.test', over: 'https', target: '/?_do=close' }, ''],
      [
        'Route semantics S9, S10: literal text',
        { host: 'quoted.a.test' },
        `x-quoted: "shouldn't break"\\; x-foo: foo if bar`,
      ],
      [
        'Route semantics S21: braces',
        { host: 'braces.a.test', target: '/?_do=h=X-Up:1' },
        'x-first: text/}plain,text/html{',
      ],
    ]),
  )('$name', async ({ input, expected }: GoldenCase<Ask>) => {
    expect(toldLines(await golden.ask(input)).join('; ')).toBe(expected);
  });

  test.each(cases<Ask>([['Content-Length deleted from the response', { host: 'length.a.test' }, '22', framing]]))(
    '$name',
    async ({ input, expected }) => {
      expect(toldValues(await golden.ask(input), 'content-length').join()).toBe(expected);
    },
  );
});
