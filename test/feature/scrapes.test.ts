// Scrapes over real connections: those that come together, too many, and readers that are slow or leave.

import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { type ScrapeSettings, type ScrapeSubject, Scrapes } from '../../src/admin/scrapes.ts';
import type { Collected } from '../../src/admin/tallied-table.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import { Exposition } from '../support/exposition.ts';
import { route } from '../support/rules.ts';
import { rowWith } from '../support/tallied.ts';

const settings: ScrapeSettings = {
  metricsDetail: 'route',
  metricsCompat: 'none',
  metricsColumns: [],
  metricsServerThreshold: 500,
  metricsLimit: 100_000,
  maxConnections: 0,
};

/** An admin port with nothing but metrics, of so many Routes; what is collected comes when it is let go. */
class MetricsPort implements AsyncDisposable {
  collections = 0;
  readonly forgotten: string[] = [];
  synced = true;
  #release: (() => void)[] = [];
  readonly #routes: number;
  readonly #server = createServer((_request, response) => {
    this.#scrapes.answer(response).catch(() => response.destroy());
  });
  readonly #scrapes: Scrapes;

  private constructor(routes: number) {
    this.#routes = routes;
    const table = new RouteTable();
    for (let i = 0; i < routes; i++) table.load(route({ host: `r${i}.test`, name: `r${i}`, pods: [80] }));
    const subject: ScrapeSubject = {
      table: () => table,
      collect: () => this.#collect(),
      expiries: () => [],
      synced: () => this.synced,
      workerPids: () => [],
      forget: (keys) => this.forgotten.push(...keys),
    };
    this.#scrapes = new Scrapes(subject, settings);
  }

  static async start(routes: number): Promise<MetricsPort> {
    const port = new MetricsPort(routes);
    await new Promise<void>((done) => port.#server.listen(0, '127.0.0.1', done));
    return port;
  }

  /** Begins a scrape; resolves with its head. */
  scrape(method = 'GET'): Promise<IncomingMessage> {
    const { port } = this.#server.address() as AddressInfo;
    return new Promise((done, failed) => {
      get({ port, method, agent: false }, done).on('error', failed);
    });
  }

  /** Waits until so many collections have begun, and lets what they have collected go. */
  async release(collections: number): Promise<void> {
    while (this.collections < collections) await new Promise((resolve) => setImmediate(resolve));
    for (const release of this.#release.splice(0)) release();
  }

  async connections(count: number): Promise<void> {
    const open = (): Promise<number> => new Promise((done) => this.#server.getConnections((_, found) => done(found)));
    while ((await open()) !== count) await new Promise((resolve) => setImmediate(resolve));
  }

  #collect(): Promise<Collected> {
    this.collections++;
    const rows = Array.from({ length: this.#routes }, (_, i): [string, number[]] => [
      `shop/r${i}`,
      rowWith({ begun: 1 }),
    ]);
    const collected = { series: [], rows: new Map([...rows, ['shop/gone', rowWith({})] as const]) };
    return new Promise((done) => this.#release.push(() => done(collected)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  for await (const piece of response) text += piece;
  return text;
}

test('scrapes that come together share what is collected; too many are told so', async () => {
  await using port = await MetricsPort.start(3);
  const scrapes = Array.from({ length: 9 }, () => port.scrape());
  const refused = await Promise.race(scrapes);
  expect(refused.statusCode).toBe(503);
  await port.release(1);
  const answers = await Promise.all(scrapes);
  expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([...new Array(8).fill(200), 503]);
  for (const answer of answers.filter(({ statusCode }) => statusCode === 200)) {
    expect(new Exposition(await textOf(answer)).find('headgate_route_active')).toHaveLength(3);
  }
  expect(port.collections).toBe(1);
  const again = port.scrape();
  await port.release(2);
  expect((await again).statusCode).toBe(200);
});

test('what is not in the table is forgotten, once the table is whole', async () => {
  await using port = await MetricsPort.start(1);
  port.synced = false;
  const early = port.scrape();
  await port.release(1);
  await textOf(await early);
  expect(port.forgotten).toEqual([]);
  port.synced = true;
  const later = port.scrape();
  await port.release(2);
  await textOf(await later);
  expect(port.forgotten).toEqual(['shop/gone']);
});

test('a reader that stops reading gets all of it later; one that leaves is let go', async () => {
  await using port = await MetricsPort.start(20_000);
  const slow = port.scrape();
  const leaving = port.scrape();
  await port.release(1);
  const left = await leaving;
  left.destroy();
  await port.connections(1);
  // Others are served meanwhile.
  const quick = port.scrape('HEAD');
  await port.release(2);
  expect(await textOf(await quick)).toBe('');
  expect(new Exposition(await textOf(await slow)).find('headgate_route_active')).toHaveLength(20_000);
});
