// The Controller as it is, between an API server and workers that take over the table when a test lets them.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { Controller } from '../../src/controller/controller.ts';
import { type ControllerMessage, encodeFrame, FrameReader } from '../../src/replication/frame.ts';
import { Subscriber } from '../../src/replication/subscriber.ts';
import { NO_REVISION, type Revision } from '../../src/table/delta.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { ApiServer } from '../support/api-server/api-server.ts';
import { makeCertificate } from '../support/certificates.ts';
import { eventually } from '../support/router.ts';

const before = '2024-01-01T00:00:00Z';
const fallback = makeCertificate({ names: ['default.test'] });

/** A Controller on an API server of its own, or of another's. */
class Running implements AsyncDisposable {
  readonly server: ApiServer;
  readonly controller: Controller;
  readonly metrics: Metrics = new Metrics();
  readonly channelPath: string;
  readonly #directory: string;
  readonly #isFirst: boolean;

  private constructor(server: ApiServer, isFirst: boolean, directory: string, args: readonly string[]) {
    this.server = server;
    this.#isFirst = isFirst;
    this.#directory = directory;
    this.channelPath = join(directory, 'table.sock');
    const loaded = loadConfig(['--source', 'kubernetes', '--config', join(directory, 'kubeconfig'), ...args], {});
    if (loaded.kind === 'problems') throw new Error(loaded.problems.join('\n'));
    const kept = { chain: fallback.certificate, key: fallback.key };
    const log = createLog('silent', {}, () => {});
    this.controller = new Controller(loaded.config, 1, kept, [], log, this.metrics, () => {});
  }

  static async open(first: Running | null = null, args: readonly string[] = []): Promise<Running> {
    const server = first?.server ?? (await ApiServer.start());
    const directory = await mkdtemp(join(tmpdir(), 'controller-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    return new Running(server, first === null, directory, args);
  }

  start(): Promise<void> {
    return this.controller.start(this.channelPath);
  }

  addRoute(name: string, annotations: Readonly<Record<string, string>> = {}, creationTimestamp = before): void {
    this.server.create({
      kind: 'Route',
      metadata: { name, namespace: 'shop', annotations, creationTimestamp },
      spec: { host: `${name}.test`, to: { kind: 'Service', name: 'svc' }, tls: { termination: 'edge' } },
    });
  }

  /** What status says of a Route: `True`, `False` with why, or nothing yet. */
  admitted(name: string): string {
    const { ingress = [] } = (this.server.get('Route', 'shop', name)?.status ?? {}) as {
      ingress?: readonly { conditions: readonly { type: string; status: string; message?: string }[] }[];
    };
    const admitted = ingress[0]?.conditions.find(({ type }) => type === 'Admitted');
    return admitted === undefined ? '' : [admitted.status, admitted.message ?? ''].join(' ').trim();
  }

  /** Resolves when the Verdict on a Route is known in here, told or not. */
  async decided(name: string, kind: 'admitted' | 'rejected'): Promise<Revision> {
    const known = await eventually(
      async () => this.controller.verdicts.get(`shop/${name}` as never),
      (found) => found?.verdict.kind === kind,
    );
    return known?.revision ?? NO_REVISION;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.controller.close();
    if (this.#isFirst) await this.server[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

/** A worker that takes over what it gets. */
class Worker implements Disposable {
  readonly #subscriber: Subscriber;

  constructor(channelPath: string) {
    this.#subscriber = new Subscriber(
      channelPath,
      0,
      createLog('silent', {}, () => {}),
      new Metrics(),
      () => {},
    );
  }

  [Symbol.dispose](): void {
    this.#subscriber.close();
  }
}

/** A worker that says what it serves only when it is told to. */
class SlowWorker implements Disposable {
  readonly #socket: Socket;
  readonly #reader: FrameReader = new FrameReader();
  hasSnapshot = false;

  constructor(channelPath: string) {
    this.#socket = connect(channelPath);
    this.#socket.write(encodeFrame({ kind: 'hello', worker: 0, revision: NO_REVISION }));
    this.#socket.on('data', (chunk: Buffer) => {
      for (const message of this.#reader.read(chunk)) {
        this.hasSnapshot ||= (message as ControllerMessage).kind === 'snapshot-end';
      }
    });
  }

  serves(revision: Revision): void {
    this.#socket.write(encodeFrame({ kind: 'ack', revision }));
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

test('a Verdict that is of a later Revision by now is not told with the earlier one', async () => {
  await using running = await Running.open();
  await running.start();
  using worker = new SlowWorker(running.channelPath);
  await eventually(
    async () => worker.hasSnapshot,
    (has) => has,
  );
  running.addRoute('first');
  const earlier = await running.decided('first', 'admitted');
  running.addRoute('late', { 'headgate.io/client-auth': 'required' });
  expect(await running.decided('late', 'rejected')).toEqual(earlier);
  // An annotation has no generation: nothing but the Revision tells the two Verdicts apart.
  running.server.patchMeta('Route', 'shop', 'late', { annotations: { 'headgate.io/client-auth': null } });
  const later = await running.decided('late', 'admitted');
  expect(later.counter).toBeGreaterThan(earlier.counter);

  worker.serves(earlier);
  await eventually(
    async () => running.admitted('first'),
    (told) => told === 'True',
  );
  await delay(100);
  expect(running.admitted('late')).not.toBe('True');

  worker.serves(later);
  await eventually(
    async () => running.admitted('late'),
    (told) => told === 'True',
  );
});

test('a replica that has not seen how a Route lost its host agrees with one that has', async () => {
  await using one = await Running.open();
  one.addRoute('old');
  one.addRoute('young', {}, '2024-01-02T00:00:00Z');
  await one.start();
  using _ = new Worker(one.channelPath);
  await eventually(
    async () => one.admitted('young'),
    (told) => told === 'True',
  );
  one.server.update('Route', 'shop', 'old', { metadata: { generation: 2 }, spec: { host: 'young.test' } });
  const displaced = await eventually(
    async () => one.admitted('young'),
    (told) => told.startsWith('False'),
  );
  expect(displaced).toBe('False replaced by older route old');
  const patches = (): number =>
    one.server.requests.filter(({ verb, name }) => verb === 'patch' && name === 'young').length;
  const written = patches();

  await using two = await Running.open(one);
  await two.start();
  using __ = new Worker(two.channelPath);
  await eventually(
    async () => two.controller.acknowledged,
    (has) => has,
  );
  await delay(200);
  expect(one.admitted('young')).toBe(displaced);
  expect(patches()).toBe(written);
});

test('metrics of projects go where a cluster turns out to have none', async () => {
  await using running = await Running.open(null, ['--project-labels', 'env=shop']);
  const synced = (): string[] => {
    running.controller.observeViews();
    const series = running.metrics.snapshot().filter(({ name }) => name === 'headgate_source_synced');
    return series.map(({ labels, values }) => `${labels.join()} ${values.join()}`).sort();
  };
  running.server.fault({ kind: 'status', code: 503, match: { resource: 'projects' } });
  const started = running.start();
  await running.server.until((requests) => requests.some(({ status }) => status === 503));
  expect(synced()).toContain('Project 0');
  await started;
  expect(synced()).toEqual(['EndpointSlice 1', 'Namespace 1', 'Route 1', 'Service 1']);
});
