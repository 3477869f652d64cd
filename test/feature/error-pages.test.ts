// Error pages in place of the router's own: which one is taken, and how clients of each protocol get it.

import { expect, test } from 'vitest';
import type { Change } from '../../src/table/delta.ts';
import type { ErrorPage } from '../../src/table/entries.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { WebClient } from '../support/http2-peers/web-client.ts';
import { getRequest, Peer } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const html = (body: string): ErrorPage => ({ statusText: '', lines: 'Content-Type: text/html\r\n', body });
const raw = (statusText: string, body: string, lines = 'X-Own: 1\r\n'): ErrorPage => ({ statusText, lines, body });
const page = (key: string, entry: ErrorPage | null): Change => ({ kind: 'page', key, entry });

/** What a request for a Host gets over HTTP/1.1. */
async function answered(
  pages: readonly Change[],
  request: string,
  options: DataPlaneOptions = {},
): Promise<{ readonly text: string; readonly plane: DataPlane }> {
  await using plane = await DataPlane.start([...route({ host: 'empty.test' }), ...pages], options);
  using client = await Peer.connect(plane.httpPort);
  await client.write(request);
  const { text } = await client.message({ head: request.startsWith('HEAD') });
  return { text, plane };
}

test('HTML is filled in, and keeps its bytes', async () => {
  const body = '<b>{{status}} {{reason}} {{explanation}} {{other}} {{status}}</b>\xc3\xa9';
  const { text } = await answered([page('503', html(body))], getRequest('nobody.test'));
  const filled =
    '<b>503 no-route No Route of this router has this host and path on this port. {{other}} 503</b>\xc3\xa9';
  expect(text).toBe(
    `HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: ${filled.length}\r\n\r\n${filled}`,
  );
});

test('a whole response keeps its status, which is counted, and its fields', async () => {
  const { text, plane } = await answered([page('503', raw('200 Fine', 'all {{status}}'))], getRequest('nobody.test'));
  expect(text).toBe('HTTP/1.1 200 Fine\r\nX-Own: 1\r\nContent-Length: 14\r\n\r\nall {{status}}');
  expect(plane.answers(200, 'no-route')).toBe(1);
});

test('a page for the reason goes before one for the status, which others keep', async () => {
  const pages = [page('503', html('any')), page('no-endpoint', html('none ready'))];
  expect((await answered(pages, getRequest('empty.test'))).text).toContain('\r\n\r\nnone ready');
  expect((await answered(pages, getRequest('nobody.test'))).text).toContain('\r\n\r\nany');
  expect((await answered(pages, 'GET / HTTP/1.1\r\n\r\n')).text).toContain('<code>missing-host</code>');
});

test('pages come and go while the router runs', async () => {
  await using plane = await DataPlane.start([page('503', html('one'))]);
  using client = await Peer.connect(plane.httpPort);
  const bodies: string[] = [];
  for (const change of [page('502', html('x')), page('503', html('two')), page('503', null)]) {
    await client.write(getRequest('nobody.test'));
    bodies.push((await client.message()).body.toString());
    plane.put(change);
  }
  await client.write(getRequest('nobody.test'));
  expect([...bodies, (await client.message()).body.toString()]).toEqual([
    'one',
    'one',
    'two',
    expect.stringContaining('no-route'),
  ]);
});

test('HEAD gets the head alone', async () => {
  const request = getRequest('nobody.test').replace('GET', 'HEAD');
  const { text } = await answered([page('503', html('page'))], request);
  expect(text).toMatch(/Content-Length: 4\r\n\r\n$/);
});

test('a request that cannot be read gets its page, and the connection ends', async () => {
  const { text } = await answered([page('400', raw('400 No', 'no'))], 'GET  /\r\n\r\n');
  expect(text).toBe('HTTP/1.1 400 No\r\nX-Own: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
});

test('with a page for 404, what no Route is for is not found, and nothing else', async () => {
  const settings = { errorPage404Path: '/somewhere' };
  const pages = [page('404', raw('404 Error', 'not here'))];
  expect((await answered(pages, getRequest('nobody.test'), { settings })).text).toContain('HTTP/1.1 404 Error\r\n');
  expect((await answered([], getRequest('nobody.test'), { settings })).text).toContain('HTTP/1.1 404 Not Found\r\n');
  expect((await answered(pages, getRequest('empty.test'), { settings })).text).toContain('HTTP/1.1 503 ');
});

test('clients of HTTP/2 get the page, those of gRPC their status', async () => {
  const pages = [page('no-route', raw('404 Error', 'h\xe9', 'X-Own: 1\r\n'))];
  await using plane = await DataPlane.start(pages);
  await using client = await WebClient.connect('h2c', plane, 'nobody.test');
  const answer = await client.get();
  expect([answer.status, answer.fields['x-own'], answer.text]).toEqual([404, '1', 'h\xe9']);
  const head = await client.get({ method: 'HEAD' });
  expect([head.status, head.fields['content-length'], head.text]).toEqual([404, '2', '']);
  const call = await client.get({ method: 'POST', fields: { 'content-type': 'application/grpc' }, body: 'x' });
  expect([call.status, call.fields['grpc-status'], call.fields['x-own']]).toEqual([200, '14', undefined]);
});
