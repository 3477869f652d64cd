// A pod that speaks gRPC, by grpc-js: it echoes unless a test has it do something else.

import {
  type ChannelOptions,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { peerService } from './peer-service.ts';

export type Handlers = {
  readonly unary: handleUnaryCall<Buffer, Buffer>;
  readonly collect: handleClientStreamingCall<Buffer, Buffer>;
  readonly list: handleServerStreamingCall<Buffer, Buffer>;
  readonly chat: handleBidiStreamingCall<Buffer, Buffer>;
};

/** Certificate and key, PEM. */
export type PodTls = { readonly certificate: string; readonly key: string };

/** What of a request's metadata comes back, as initial metadata and as trailers. */
function echoed(metadata: Metadata): Metadata {
  const back = new Metadata();
  for (const name of Object.keys(metadata.getMap())) {
    if (name.startsWith('echo-')) for (const value of metadata.get(name)) back.add(name, value);
  }
  return back;
}

const echoing: Handlers = {
  unary: (call, done) => {
    call.sendMetadata(echoed(call.metadata));
    done(null, call.request, echoed(call.metadata));
  },
  /** Answers how many bytes came in how many messages. */
  collect: (call, done) => {
    let bytes = 0;
    let messages = 0;
    call.sendMetadata(echoed(call.metadata));
    call.on('data', (message: Buffer) => {
      bytes += message.length;
      messages++;
    });
    call.on('error', () => {});
    call.on('end', () => done(null, Buffer.from(`${messages} ${bytes}`), echoed(call.metadata)));
  },
  /** Asked for `COUNT BYTES` it answers that many messages of that size, each beginning with its number. */
  list: (call) => {
    const [count = 0, bytes = 0] = call.request.toString().split(' ').map(Number);
    call.sendMetadata(echoed(call.metadata));
    let next = 0;
    const more = (): void => {
      while (next < count) {
        const message = Buffer.alloc(bytes);
        message.writeUInt32BE(next++);
        if (!call.write(message)) {
          call.once('drain', more);
          return;
        }
      }
      call.end(echoed(call.metadata));
    };
    more();
  },
  chat: (call) => {
    call.sendMetadata(echoed(call.metadata));
    call.on('data', (message: Buffer) => {
      if (call.write(message)) return;
      call.pause();
      call.once('drain', () => call.resume());
    });
    call.on('error', () => {});
    call.on('end', () => call.end(echoed(call.metadata)));
  },
};

export class GrpcPod implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Starts a pod; with `tls` one that speaks TLS, else HTTP/2 from the first byte. */
  static async start(
    handlers: Partial<Handlers> = {},
    tls: PodTls | null = null,
    options: ChannelOptions = {},
  ): Promise<GrpcPod> {
    const server = new Server({ 'grpc.max_receive_message_length': -1, ...options });
    server.addService(peerService as ServiceDefinition, { ...echoing, ...handlers });
    const credentials =
      tls === null
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(null, [
            { cert_chain: Buffer.from(tls.certificate), private_key: Buffer.from(tls.key) },
          ]);
    const port = await new Promise<number>((bound, failed) => {
      server.bindAsync('127.0.0.1:0', credentials, (error, at) => (error === null ? bound(at) : failed(error)));
    });
    return new GrpcPod(server, port);
  }

  /** Takes no more calls and resolves when those under way have ended: what a pod does on SIGTERM. */
  async shutDown(): Promise<void> {
    await new Promise<void>((done, failed) => {
      this.#server.tryShutdown((error) => (error === undefined ? done() : failed(error)));
    });
  }

  /** Breaks every connection. */
  kill(): void {
    this.#server.forceShutdown();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
  }
}
