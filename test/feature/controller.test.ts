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
import { NO_REVISION, type Revision } from '../../src/table/delta.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { ApiServer } from '../support/api-server/api-server.ts';
import { makeCertificate } from '../support/certificates.ts';
import { eventually } from '../support/router.ts';

const fallback = makeCertificate({ names: ['default.test'] });

/** A Controller on an API server of its own. */
class Running implements AsyncDisposable {
  readonly server: ApiServer;
  readonly controller: Controller;
  readonly channelPath: string;
  readonly #directory: string;

  private constructor(server: ApiServer, directory: string) {
    this.server = server;
    this.#directory = directory;
    this.channelPath = join(directory, 'table.sock');
    const loaded = loadConfig(['--source', 'kubernetes', '--config', join(directory, 'kubeconfig')], {});
    if (loaded.kind === 'problems') throw new Error(loaded.problems.join('\n'));
    const kept = { chain: fallback.certificate, key: fallback.key };
    const log = createLog('silent', {}, () => {});
    this.controller = new Controller(loaded.config, 1, kept, [], log, new Metrics(), () => {});
  }

  static async open(): Promise<Running> {
    const server = await ApiServer.start();
    const directory = await mkdtemp(join(tmpdir(), 'controller-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    return new Running(server, directory);
  }

  start(): Promise<void> {
    return this.controller.start(this.channelPath);
  }

  addRoute(name: string, annotations: Readonly<Record<string, string>> = {}): void {
    this.server.create({
      kind: 'Route',
      metadata: { name, namespace: 'shop', annotations },
      spec: { host: `${name}.test`, to: { kind: 'Service', name: 'svc' }, tls: { termination: 'edge' } },
    });
  }

  /** What status says of a Route: `True`, `False`, or nothing yet. */
  admitted(name: string): string {
    const { ingress = [] } = (this.server.get('Route', 'shop', name)?.status ?? {}) as {
      ingress?: readonly { conditions: readonly { type: string; status: string }[] }[];
    };
    return ingress[0]?.conditions.find(({ type }) => type === 'Admitted')?.status ?? '';
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
    await this.server[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
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
