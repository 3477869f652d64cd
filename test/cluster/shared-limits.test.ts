// What several workers of the real command do as one: limits that hold over all of them, and clients that find the same pod
// whichever of them they come to.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { getRequest, Peer } from '../support/peers.ts';
import { serviceYaml } from '../support/pods.ts';
import { eventually, ManifestFolder, RunningRouter } from '../support/router.ts';

const workers = 3;
/** Refusals in a row that come from all workers, as good as surely. */
const manyRefusals = 20;
/** Far above two exchanges of 100 ms, on a busy machine too. */
const settledMs = 2_000;

/** A pod that says its name, and which worker has asked; on `/hold` not before it is told to. */
class TellingPod implements AsyncDisposable {
  readonly held: ServerResponse[] = [];
  readonly #server: ReturnType<typeof createServer>;

  private constructor(name: string) {
    this.#server = createServer((request, response) => {
      response.setHeader('x-answer', `${name} ${String(request.headers['x-worker'])}`);
      if (request.url === '/hold') this.held.push(response);
      else response.end('ok');
    });
  }

  static async start(name: string): Promise<TellingPod> {
    const pod = new TellingPod(name);
    await new Promise<void>((listening) => {
      pod.#server.listen(0, '127.0.0.1', listening);
    });
    return pod;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}

function routeYaml(name: string, service: string, annotations: Readonly<Record<string, string>>): string {
  return `---
apiVersion: route.openshift.io/v1
kind: Route
metadata: { name: ${name}, annotations: ${JSON.stringify(annotations)} }
spec: { host: ${name}.test, to: { kind: Service, name: ${service} } }
`;
}

const prefix = 'haproxy.router.openshift.io';
const rateLimit = 30;
const openLimit = 6;
const podLimit = 4;
const routes =
  routeYaml('rate', 'one', {
    [`${prefix}/rate-limit-connections`]: 'true',
    [`${prefix}/rate-limit-connections.rate-http`]: String(rateLimit),
  }) +
  routeYaml('open', 'one', {
    [`${prefix}/rate-limit-connections`]: 'true',
    [`${prefix}/rate-limit-connections.concurrent-tcp`]: String(openLimit),
  }) +
  routeYaml('places', 'one', { [`${prefix}/pod-concurrent-connections`]: String(podLimit) }) +
  routeYaml('sticky', 'three', {}) +
  routeYaml('source', 'three', { [`${prefix}/balance`]: 'source' });

let pods: readonly TellingPod[] = [];
let folder: ManifestFolder;
let router: RunningRouter;

beforeAll(async () => {
  pods = await Promise.all(['a', 'b', 'c'].map((name) => TellingPod.start(name)));
  folder = new ManifestFolder();
  const ports = pods.map(({ port }) => port);
  folder.write('all.yaml', routes + serviceYaml('one', ports.slice(0, 1)) + serviceYaml('three', ports));
  const env = { ROUTER_UNIQUE_ID_HEADER_NAME: 'x-worker', ROUTER_UNIQUE_ID_FORMAT: '%pid' };
  router = await RunningRouter.start(folder, ['--workers', String(workers)], env);
});

afterAll(async () => {
  await router[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
  for (const pod of pods) await pod[Symbol.asyncDispose]();
});

type Answer = { readonly status: number; readonly pod: string; readonly worker: number; readonly cookie: string };

async function askOn(client: Peer, name: string, fields = '', target = '/'): Promise<Answer> {
  await client.write(getRequest(`${name}.test`, target, fields));
  const { text } = await client.message();
  const [, pod = '', worker = ''] = /\r\nx-answer: (\S+) (\d+)\r\n/i.exec(text) ?? [];
  const [, cookie = ''] = /\r\nset-cookie: ([^;]+)/i.exec(text) ?? [];
  return { status: Number(text.split(' ')[1]), pod, worker: Number(worker), cookie };
}

/** A request for a Route on a connection of its own. */
async function ask(name: string, fields = '', localAddress = '127.0.0.1'): Promise<Answer> {
  using client = await Peer.connect(router.httpPort, { localAddress });
  return await askOn(client, name, fields);
}

/** Asks until many in a row are refused, several at a time; answers when each that was let in was answered. */
async function untilRefused(name: string): Promise<number[]> {
  const letInMs: number[] = [];
  for (let refused = 0; refused < manyRefusals; ) {
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(name)));
    for (const { status } of answers) {
      refused = status === 429 ? refused + 1 : 0;
      if (status === 200) letInMs.push(performance.now());
    }
  }
  return letInMs;
}

describe('clients find their pod from every worker', () => {
  /** Asks until all workers have answered somebody; answers who asked and the pods that answered. */
  async function podsOf(
    name: string,
    clients: readonly (readonly [address: string, fields: string])[],
  ): Promise<Set<string>[]> {
    const found: Set<string>[] = clients.map(() => new Set());
    const asked = new Set<number>();
    while (asked.size < workers) {
      const answers = await Promise.all(clients.map(([address, fields]) => ask(name, fields, address)));
      for (const [i, { pod, worker }] of answers.entries()) {
        found[i]?.add(pod);
        asked.add(worker);
      }
    }
    return found;
  }

  test('by the cookie', async () => {
    const own = new Map<string, string>();
    while (own.size < pods.length) {
      const { pod, cookie } = await ask('sticky');
      own.set(pod, `Cookie: ${cookie}\r\n`);
    }
    const clients = [...own.values()].flatMap((fields) =>
      ['127.0.0.1', '127.0.0.2'].map((address) => [address, fields] as const),
    );
    expect(await podsOf('sticky', clients)).toEqual([...own.keys()].flatMap((pod) => [new Set([pod]), new Set([pod])]));
  });

  test('by the address', async () => {
    // So many that no pod is left without one, as the ports are others each time.
    const clients = Array.from({ length: 40 }, (_, i) => [`127.0.0.${i + 2}`, ''] as const);
    const found = await podsOf('source', clients);
    expect(found.map(({ size }) => size)).toEqual(clients.map(() => 1));
    expect(new Set(found.flatMap((each) => [...each]))).toEqual(new Set(['a', 'b', 'c']));
  });
});

test('a limit of the pods is one over all workers, and everybody has a turn', async () => {
  const held = pods[0]?.held ?? [];
  let most = 0;
  const answers = Array.from({ length: 40 }, async () => {
    using client = await Peer.connect(router.httpPort);
    return (await askOn(client, 'places', '', '/hold')).status;
  });
  for (let answered = 0; answered < answers.length; answered++) {
    await eventually(
      async () => held.length,
      (count) => count >= Math.min(podLimit, answers.length - answered),
    );
    most = Math.max(most, held.length);
    held.shift()?.end('ok');
  }
  expect(await Promise.all(answers)).toEqual(answers.map(() => 200));
  // A quarter more for some tenths of a second, and each worker has 1 at least.
  expect(most).toBeLessThanOrEqual(podLimit + 1 + workers - 1);
});

describe('a rate limit is one over all workers', () => {
  test('for whoever comes by one connection, and for whoever comes by many', async () => {
    using alone = await Peer.connect(router.httpPort, { localAddress: '127.0.0.2' });
    const answers: number[] = [];
    for (let i = 0; i < rateLimit + 5; i++) answers.push((await askOn(alone, 'rate')).status);
    expect(answers).toEqual(answers.map((_, i) => (i < rateLimit ? 200 : 429)));

    const letInMs = await untilRefused('rate');
    expect(letInMs.length).toBeGreaterThanOrEqual(rateLimit);
    expect(letInMs.length).toBeLessThanOrEqual(workers * rateLimit);
    // Whoever comes when the workers have told one another is let in only below the limit.
    for (const atMs of letInMs) {
      expect(letInMs.filter((each) => each < atMs - settledMs).length).toBeLessThan(rateLimit);
    }
  });

  test('counts what is open; is right again after a worker was killed, and after the controller was', async () => {
    let held: { readonly client: Peer; readonly worker: number }[] = [];
    /** Opens connections until so many are let in, and keeps those. */
    const hold = async (count: number): Promise<void> => {
      while (held.length < count) {
        const client = await Peer.connect(router.httpPort);
        const { status, worker } = await askOn(client, 'open');
        if (status === 200) held.push({ client, worker });
        else client[Symbol.dispose]();
      }
    };
    const letGo = (): void => {
      for (const { client } of held.splice(0)) client[Symbol.dispose]();
    };
    /** Without a controller nobody answers, or the connection breaks. */
    const ready = (): Promise<number> =>
      eventually(
        () =>
          router.admin('/healthz/ready').then(
            ({ status }) => status,
            () => 0,
          ),
        (status) => status === 200,
      );
    await hold(openLimit);
    await untilRefused('open');
    for (const { client } of held) expect((await askOn(client, 'open')).status).toBe(200);

    const victim = held[0]?.worker ?? 0;
    process.kill(victim, 'SIGKILL');
    const lost = held.filter(({ worker }) => worker === victim);
    for (const { client } of lost) await client.ended;
    held = held.filter(({ worker }) => worker !== victim);
    await eventually(
      () => router.processes(),
      (now) => now.workers.length === workers && now.workers.every(({ pid, serving }) => serving && pid !== victim),
    );
    await hold(openLimit);
    await untilRefused('open');

    process.kill((await router.processes()).controller, 'SIGKILL');
    letGo();
    await hold(openLimit);
    await ready();
    await untilRefused('open');
    letGo();
    await hold(openLimit);
    letGo();
  });
});
