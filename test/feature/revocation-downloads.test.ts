// Revocation lists fetched over real HTTP: from where, how much of it, and what becomes of failures.

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { clientAuthority } from '../../src/controller/client-authority.ts';
import type { ProxySettings } from '../../src/controller/download-proxy.ts';
import { listAddresses, noListYet, RevocationDownloads, waitFor } from '../../src/controller/revocation-downloads.ts';
import { readRevocationLists } from '../../src/controller/revocation-lists.ts';
import type { Log, LogFields } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { makeAuthority, makeRevocationList, pemBytes } from '../support/certificates.ts';

const ca = makeAuthority({ name: 'listed' });
const list = makeRevocationList({ issuer: ca, revoked: [] });
const normal = pemOf(list);

function pemOf(text: string): string {
  const read = readRevocationLists(text);
  return read.pems.join('');
}

class ListServer implements AsyncDisposable {
  readonly #server: Server;
  readonly paths: string[] = [];

  private constructor(answer: (path: string, response: ServerResponse) => void) {
    this.#server = createServer((request, response) => {
      this.paths.push(request.url ?? '');
      answer(request.url ?? '', response);
    });
  }

  static async start(answer: (path: string, response: ServerResponse) => void): Promise<ListServer> {
    const server = new ListServer(answer);
    await new Promise<void>((listening) => server.#server.listen(0, '127.0.0.1', listening));
    return server;
  }

  address(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}

const noProxy: ProxySettings = { httpProxy: '', noProxy: [] };

/** What one round over these addresses comes to: the lists, or why there are none. */
function fetched(addresses: readonly string[], proxy = noProxy): Promise<string> {
  return new Promise((done) => {
    const record = (fields: LogFields): void => {
      if ('reason' in fields) done(`failed: ${String(fields['reason'])}`);
    };
    const log: Log = { debug: record, info: record, warn: record, error: record, with: () => log };
    const downloads: RevocationDownloads = new RevocationDownloads(addresses, proxy, log, new Metrics(), (pem) => {
      done(pem);
      downloads.close();
    });
    downloads.start();
  });
}

describe('what an address answers', () => {
  test.each<[string, (response: ServerResponse) => void, string | RegExp]>([
    ['a list as DER', (response) => response.end(pemBytes(list)), normal],
    ['a list as PEM', (response) => response.end(list), normal],
    ['an error', (response) => response.writeHead(500).end(list), 'failed: status 500'],
    ['something else', (response) => response.end('<html>'), 'failed: what is there is no revocation list'],
    ['nothing', (response) => response.end(), 'failed: what is there is no revocation list'],
    ['half a list', (response) => response.end(pemBytes(list).subarray(0, 50)), /^failed: what is there is no/],
    ['another address', (response) => response.writeHead(302, { location: '/good' }).end(), 'failed: status 302'],
    ['more than can be held', (response) => response.end(Buffer.alloc(5_000_000)), /^failed: more than \d+ bytes$/],
    ['a broken connection', (response) => response.destroy(), /^failed: /],
  ])('%s', async (_name, answer, expected) => {
    await using server = await ListServer.start((path, response) =>
      path === '/good' ? response.end(list) : answer(response),
    );
    const outcome = await fetched([server.address('/x')]);
    if (typeof expected === 'string') expect(outcome).toBe(expected);
    else expect(outcome).toMatch(expected);
    expect(server.paths).toEqual(['/x']);
  });

  test('all or none', async () => {
    await using server = await ListServer.start((path, response) => {
      if (path === '/bad') response.writeHead(404);
      response.end(list);
    });
    const [one, two, bad] = ['/1', '/2', '/bad'].map((path) => server.address(path)) as [string, string, string];
    expect(await fetched([one, two])).toBe(normal + normal);
    expect(await fetched([one, bad, two])).toBe('failed: status 404');
    expect(server.paths).toEqual(['/1', '/2', '/1', '/bad']);
  });
});

test('through the proxy, that is asked for the whole address, with its password', async () => {
  const secrets: (string | undefined)[] = [];
  await using proxy = await ListServer.start((_path, response) => {
    secrets.push(response.req.headers['proxy-authorization']);
    response.end(list);
  });
  await using direct = await ListServer.start((_path, response) => response.end(list));
  const httpProxy = proxy.address('').replace('http://', 'http://user:sesame@');
  const addresses = ['http://lists.test/1?x', 'http://lists.test:81/2', direct.address('/3')];
  expect(await fetched(addresses, { httpProxy, noProxy: [] })).toBe(normal.repeat(3));
  expect(proxy.paths).toEqual(addresses.slice(0, 2));
  expect(secrets[0]).toBe(`Basic ${Buffer.from('user:sesame').toString('base64')}`);
  expect(direct.paths).toEqual(['/3']);
});

test('addresses are those of plain HTTP, each once', () => {
  const named = (crlUrl: string): string => makeAuthority({ name: 'x', crlUrl }).certificate;
  const pem = ['http://a.test/1', 'ldap://b.test/2', 'http://a.test/1', 'https://c.test/3', 'x', 'http://d.test/4'];
  expect(listAddresses(pem.map(named).join('') + ca.certificate)).toEqual(['http://a.test/1', 'http://d.test/4']);
});

test.each([
  ['an hour left', 3_600_000, 3_240_000],
  ['a month left', 30 * 86_400_000, 86_400_000],
  ['a minute left', 60_000, 300_000],
  ['run out', -1, 300_000],
  ['no next one', null, 86_400_000],
])('%s', (_name, leftMs, expected) => {
  expect(waitFor(leftMs === null ? null : 1_000 + leftMs, 1_000)).toBe(expected);
});

test('the list of nobody is one by its form, and makes another authority', () => {
  const [before, after] = [clientAuthority(ca.certificate, noListYet), clientAuthority(ca.certificate, list)];
  expect(before).toMatchObject({ kind: 'valid', authority: { chain: expect.stringContaining(noListYet) } });
  expect(after.kind === 'valid' && before.kind === 'valid' && after.authority.id !== before.authority.id).toBe(true);
});
