// Pods for tests: real servers on loopback, and the manifests that lead to them.

import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { readHeaderOf } from './proxy-header-reader.ts';

/** Accepts connections for a server, with a PROXY header before them or without. */
function acceptWithHeaders(server: Server): TcpServer {
  return createTcpServer((socket) => {
    socket.on('error', () => {});
    readHeaderOf(socket, () => {
      server.emit('connection', socket);
      socket.resume();
    });
  });
}

/** A pod that answers every request with its name, whether it comes behind a PROXY header or not. */
export class NamedPod implements AsyncDisposable {
  readonly name: string;
  requests = 0;
  readonly #server: Server;
  readonly #listening: TcpServer;

  private constructor(name: string) {
    this.name = name;
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      this.requests++;
      request.resume();
      response.setHeader('content-length', Buffer.byteLength(this.name));
      response.end(this.name);
    });
    this.#listening = acceptWithHeaders(this.#server);
  }

  static async start(name: string, address: string = '127.0.0.1'): Promise<NamedPod> {
    const pod = new NamedPod(name);
    await new Promise<void>((listening) => {
      pod.#listening.listen(0, address, listening);
    });
    return pod;
  }

  get port(): number {
    return (this.#listening.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#listening.close(closed));
  }
}

/** A Service with one EndpointSlice, as YAML. */
export function serviceYaml(name: string, ports: readonly number[]): string {
  const slices = ports.map(
    (port, i) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-${i}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
endpoints: [{ addresses: [127.0.0.1] }]
ports: [{ name: http, port: ${port} }]
`,
  );
  return `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { ports: [{ name: http, port: 80 }] }
${slices.join('')}`;
}

/** A Route, as YAML; `spec` is added to host and to. */
export function routeYaml(name: string, host: string, service: string, spec = ''): string {
  return `---
apiVersion: route.openshift.io/v1
kind: Route
metadata: { name: ${name} }
spec: { host: ${host}, to: { kind: Service, name: ${service} }${spec === '' ? '' : `, ${spec}`} }
`;
}
