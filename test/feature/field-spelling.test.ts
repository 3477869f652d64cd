// ROUTER_H1_CASE_ADJUST and the annotation h1-adjust-case, for every pairing of protocols (Route semantics 5.21; observed 37).

import { describe, expect, test } from 'vitest';
import { DataPlane } from '../support/data-plane.ts';
import { Pair, pairings } from '../support/http2-peers/pairings.ts';
import { isHttp2 } from '../support/http2-peers/web-pod.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const settings = { headerSpellings: ['X-CaSe', 'HOST', 'connection', 'CONTENT-length'] };

describe.each(pairings)('$client to $pod', ({ client, pod }) => {
  test.each([
    ['with the annotation', true],
    ['without it', false],
  ])('%s', async (_title, adjustsCase) => {
    let seen: readonly string[] = [];
    await using pair = await Pair.start(
      { client, pod },
      (request, response) => {
        seen = request.rawHeaders;
        response.setHeader('X-Case', '1');
        response.setHeader('X-Other', '1');
        response.end('hello');
      },
      { settings, wish: { adjustsCase } },
    );
    const answer = await pair.client.ask({ fields: { 'X-Case': '1', 'X-Other': '1' } }).answer;
    expect((await answer.whole()).text).toBe('hello');
    const sent = pair.client.isHttp2 ? 'x-case' : 'X-Case';
    expect(namesLike('x-case', seen)).toEqual([isHttp2(pod) ? 'x-case' : adjustsCase ? 'X-CaSe' : sent]);
    expect(namesLike('x-case', answer.raw)).toEqual([pair.client.isHttp2 ? 'x-case' : 'X-CaSe']);
    const other = pair.client.isHttp2 || isHttp2(pod) ? 'x-other' : 'X-Other';
    expect(namesLike('x-other', answer.raw)).toEqual([other]);
  });
});

/** A name as it is spelt in a list of names and values. */
function namesLike(name: string, raw: readonly string[]): string[] {
  return raw.filter((text, i) => i % 2 === 0 && text.toLowerCase() === name);
}

test('what the router says itself has the spellings too, towards both sides', async () => {
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(ok('hello', 'x-case: 1\r\n'), seen));
  await using plane = await DataPlane.start(
    [
      ...route({ host: 'a.test', pods: [pod.port], adjustsCase: true }),
      ...route({ host: 'r.test', pods: [pod.port], termination: 'edge', insecurePolicy: 'Redirect' }),
    ],
    { settings: { ...settings, headerSpellings: [...settings.headerSpellings, 'x-forwarded-FOR', 'lOCATION'] } },
  );
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test', '/', 'X-case: 2\r\n'));
  expect((await client.message()).text).toBe('HTTP/1.1 200 OK\r\nX-CaSe: 1\r\nCONTENT-length: 5\r\n\r\nhello');
  expect(seen[0]?.text).toMatch(/^HOST: a\.test$/m);
  expect(seen[0]?.text).toMatch(/^X-CaSe: 2$/m);
  expect(seen[0]?.text).toMatch(/^x-forwarded-FOR: /m);
  await client.write(getRequest('r.test'));
  expect((await client.message()).text).toMatch(/^lOCATION: https:\/\/r\.test:28443\/$/m);
  await client.write(getRequest('nobody.test', '/', 'Connection: close\r\n'));
  const answer = (await client.message()).text;
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(answer).toMatch(/^CONTENT-length: /m);
  expect(answer).toMatch(/^connection: close$/m);
});

test('interim answers and switches have them', async () => {
  await using pod = await Pod.start(async (peer) => {
    await peer.message();
    await peer.write('HTTP/1.1 103 Early Hints\r\nX-Case: early\r\n\r\n');
    await peer.write('HTTP/1.1 101 Switching Protocols\r\nX-Case: late\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
  });
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), { settings });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test', '/', 'Connection: Upgrade\r\nUpgrade: x\r\n'));
  expect(await client.untilText('\r\n\r\n')).toBe('HTTP/1.1 103 Early Hints\r\nX-CaSe: early\r\n\r\n');
  const switched = await client.untilText('\r\n\r\n');
  expect(switched).toMatch(/^X-CaSe: late$/m);
  expect(switched).toMatch(/^connection: Upgrade$/m);
});
