// The cluster, in a process of its own so that neither its CPU time nor its stalls are the router's or the bench's: the API
// server for tests, what is in it, and pods that answer.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApiServer, type KubeObject, type NewObject } from '../../support/api-server/api-server.ts';
import { aRouteObject, aSlice } from '../../support/objects.ts';
import type { Answer, ChangePlan, ChangeTime, ChangeTimes, ClusterSize, Order } from './cluster-messages.ts';
import { hostOf, type ScaleCertificates, scaleCertificates } from './scale-certificates.ts';

const namespaces = 100;
/** Routes that may renew their certificate. */
const renewable = 1_000;
/** Every tenth change is a new certificate, which has to be checked; the others lead to another Service. */
const renewEvery = 10;
const routeChangesPerSecond = 25;
const missingAfterMs = 30_000;
/** The longest that a timer takes. */
const foreverMs = 2 ** 31 - 1;

/** A changed Route whose status does not say so yet. */
type Waiting = { readonly how: ChangeTime['how']; readonly sinceMs: number; readonly generation: number };

class ScaleCluster {
  readonly #server: ApiServer;
  readonly #size: ClusterSize;
  readonly #certificates: ScaleCertificates;

  private constructor(server: ApiServer, size: ClusterSize, certificates: ScaleCertificates) {
    this.#server = server;
    this.#size = size;
    this.#certificates = certificates;
  }

  static async open(size: ClusterSize): Promise<ScaleCluster> {
    const certificates = scaleCertificates(size.routes, Math.min(size.routes, renewable));
    const cluster = new ScaleCluster(await ApiServer.start(), size, certificates);
    cluster.#fill(await startPod());
    return cluster;
  }

  get access(): { readonly kubeconfig: string; readonly authority: string } {
    return { kubeconfig: this.#server.kubeconfig(), authority: this.#certificates.authority };
  }

  get statuses(): number {
    return this.#server.list('Route').filter((route) => toldGeneration(route) > 0).length;
  }

  /** Changes Routes, each at its own time, while EndpointSlices change steadily. */
  async change({ changes, churn }: ChangePlan): Promise<ChangeTimes> {
    const waiting = new Map<string, Waiting>();
    const times: ChangeTime[] = [];
    const look = (): boolean => {
      for (const [name, { how, sinceMs, generation }] of waiting) {
        const route = this.#server.get('Route', namespaceOf(Number(name.slice(2))), name);
        if (route === null || toldGeneration(route) < generation) continue;
        times.push({ how, ms: performance.now() - sinceMs });
        waiting.delete(name);
      }
      return false;
    };
    // It is asked again with every write, so nothing has to be polled.
    this.#server.until(look, foreverMs).catch(() => {});

    const churning = this.#startChurn(churn);
    for (let change = 0; change < changes; change++) {
      // At random times, so that nothing falls into step with the churn.
      await pause(-Math.log(1 - Math.random()) * (1000 / routeChangesPerSecond));
      const how = change % renewEvery === 0 ? 'certificate' : 'service';
      // A stride without a common divisor passes through all of them, neighbours far apart.
      const number = (change * 7919) % (how === 'certificate' ? this.#certificates.renewed.length : this.#size.routes);
      if (waiting.has(nameOf(number))) continue;
      const sinceMs = performance.now();
      const waits = { how, sinceMs, generation: this.#generationOf(number) + 1 } as const;
      waiting.set(nameOf(number), waits);
      this.#changeRoute(number, how, change);
    }
    const untilMs = performance.now() + missingAfterMs;
    while (waiting.size > 0 && performance.now() < untilMs) await pause(50);
    return { times, missing: waiting.size, churned: churning.stop() };
  }

  #fill(podPort: number): void {
    const { routes, services, endpointsPerService } = this.#size;
    const create = (object: unknown): void => void this.#server.create(object as NewObject);
    for (let i = 0; i < namespaces; i++) {
      create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `scale-${i}` } });
    }
    for (let service = 0; service < services; service++) {
      const namespace = namespaceOf(service);
      const name = `s-${service}`;
      const ports = [{ name: 'http', port: 80, protocol: 'TCP', targetPort: podPort }];
      create({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec: { ports } });
      const addresses = Array.from({ length: endpointsPerService }, (_, i) => addressOf(service, i));
      const slice = aSlice(namespace, `${name}-x7k2p`, name, addresses, podPort);
      const endpoints = addresses.map((address, i) => ({
        addresses: [address],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: `node-${i}`,
        targetRef: { kind: 'Pod', namespace, name: `${name}-5d9f7c6b8-${i}` },
      }));
      create({ ...slice, endpoints });
    }
    for (let route = 0; route < routes; route++) {
      const { certificate, key } = this.#pair(route);
      const tls = { termination: 'edge', insecureEdgeTerminationPolicy: 'Redirect', certificate, key };
      create(aRouteObject(namespaceOf(route), nameOf(route), hostOf(route), this.#serviceOf(route, 0), { tls }));
    }
  }

  #pair(route: number): { readonly certificate: string; readonly key: string } {
    return this.#certificates.pairs[route] ?? { certificate: '', key: '' };
  }

  /** A Service in the namespace of the Route. */
  #serviceOf(route: number, step: number): string {
    return `s-${(route + step * namespaces) % this.#size.services}`;
  }

  #generationOf(route: number): number {
    return this.#server.get('Route', namespaceOf(route), nameOf(route))?.metadata.generation ?? 0;
  }

  #changeRoute(number: number, how: ChangeTime['how'], change: number): void {
    const { pairs, renewed } = this.#certificates;
    this.#server.update('Route', namespaceOf(number), nameOf(number), (draft) => {
      const spec = draft.spec as { to: { name: string }; tls: { certificate: string; key: string } };
      if (how === 'service') {
        const next = this.#serviceOf(number, 1 + (change % 7));
        spec.to.name = next === spec.to.name ? this.#serviceOf(number, 8) : next;
      } else {
        const pair = spec.tls.certificate === pairs[number]?.certificate ? renewed[number] : pairs[number];
        Object.assign(spec.tls, pair);
      }
    });
  }

  /** Takes one endpoint of some slice out or back in, so often in a second. */
  #startChurn(perSecond: number): { stop(): number } {
    const startedMs = performance.now();
    let made = 0;
    const timer = setInterval(() => {
      const due = ((performance.now() - startedMs) / 1000) * perSecond;
      for (; made < due; made++) {
        const service = (made * 1009) % this.#size.services;
        this.#server.update('EndpointSlice', namespaceOf(service), `s-${service}-x7k2p`, (draft) => {
          const endpoints = draft['endpoints'] as { conditions: { ready: boolean } }[];
          const conditions = endpoints[made % endpoints.length]?.conditions;
          if (conditions !== undefined) conditions.ready = !conditions.ready;
        });
      }
    }, 1);
    return {
      stop: () => {
        clearInterval(timer);
        return made / ((performance.now() - startedMs) / 1000);
      },
    };
  }
}

function nameOf(route: number): string {
  return `r-${route}`;
}

function namespaceOf(number: number): string {
  return `scale-${number % namespaces}`;
}

/** Each endpoint has an address of its own; all of 127.0.0.0/8 leads to this machine. */
function addressOf(service: number, endpoint: number): string {
  return `127.${1 + (endpoint % 250)}.${(service >>> 8) & 255}.${service & 255}`;
}

/** The generation that a router has told of in the status; 0 where none has. */
function toldGeneration(route: KubeObject): number {
  const { ingress } = (route.status ?? {}) as { ingress?: { conditions?: { type: string; message?: string }[] }[] };
  const ready = ingress?.[0]?.conditions?.find(({ type }) => type === 'Ready');
  return Number(ready?.message?.replace('generation ', '') ?? 0);
}

async function startPod(): Promise<number> {
  const pod = createServer({ keepAliveTimeout: 60_000 }, (_, response) => void response.end('here\n'));
  // To be had under every address of 127.0.0.0/8, and nowhere else.
  pod.on('connection', (socket) => {
    if (socket.remoteAddress?.startsWith('127.') !== true) socket.destroy();
  });
  await new Promise<void>((listening) => pod.listen(0, '0.0.0.0', 4096, listening));
  return (pod.address() as AddressInfo).port;
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

let cluster: ScaleCluster | null = null;

async function carryOut(order: Order): Promise<unknown> {
  if (order.kind === 'open') {
    cluster = await ScaleCluster.open(order.asked);
    return cluster.access;
  }
  if (cluster === null) throw new Error('there is no cluster yet');
  return order.kind === 'statuses' ? cluster.statuses : await cluster.change(order.asked);
}

process.on('message', (order: Order) => {
  const answer = (value: unknown, problem: string | null): void => {
    process.send?.({ id: order.id, value, problem } satisfies Answer);
  };
  carryOut(order).then(
    (value) => answer(value, null),
    (error: unknown) => answer(null, error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
});
// Whoever asks is gone.
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => {});
