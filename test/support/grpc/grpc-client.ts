// A gRPC client, by grpc-js, whose calls answer everything that its user would see: status, messages, metadata.

import {
  type CallOptions,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import { peerService } from './peer-service.ts';

/** How a call went. */
export type Outcome = {
  readonly code: number;
  readonly details: string;
  readonly messages: readonly Buffer[];
  readonly metadata: Metadata;
  readonly trailers: Metadata;
};

type AnyCall = ClientUnaryCall | ClientWritableStream<Buffer>;

/** What a call is made with, besides its messages. */
export type With = { readonly metadata?: Metadata; readonly options?: CallOptions; readonly path?: string };

export class GrpcClient implements Disposable {
  readonly #client: Client;

  /** A channel of its own to a port of this machine, for one Host; with `authority` (PEM) over TLS. */
  constructor(port: number, host: string, authority: string | null, options: ChannelOptions = {}) {
    const channel = authority === null ? credentials.createInsecure() : credentials.createSsl(Buffer.from(authority));
    this.#client = new Client(`127.0.0.1:${port}`, channel, {
      'grpc.default_authority': host,
      'grpc.ssl_target_name_override': host,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_http_proxy': 0,
      'grpc.max_receive_message_length': -1,
      ...options,
    });
  }

  unary(message: Buffer, by: With = {}): Promise<Outcome> {
    const { path, requestSerialize, responseDeserialize } = peerService.unary;
    return answered((done) =>
      this.#client.makeUnaryRequest(
        by.path ?? path,
        requestSerialize,
        responseDeserialize,
        message,
        by.metadata ?? new Metadata(),
        by.options ?? {},
        done,
      ),
    );
  }

  collect(messages: readonly Buffer[], by: With = {}): Promise<Outcome> {
    return answered((done) => {
      const call = this.collecting(by, done);
      for (const message of messages) call.write(message);
      call.end();
      return call;
    });
  }

  /** A call that takes messages until its end, and answers one. */
  collecting(by: With, done: (error: ServiceError | null, message?: Buffer) => void): ClientWritableStream<Buffer> {
    const { path, requestSerialize, responseDeserialize } = peerService.collect;
    return this.#client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      by.metadata ?? new Metadata(),
      by.options ?? {},
      done,
    );
  }

  list(count: number, bytes: number, by: With = {}): Promise<Outcome> {
    return streamed(this.listing(count, bytes, by));
  }

  listing(count: number, bytes: number, by: With = {}): ClientReadableStream<Buffer> {
    const { path, requestSerialize, responseDeserialize } = peerService.list;
    return this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.from(`${count} ${bytes}`),
      by.metadata ?? new Metadata(),
      by.options ?? {},
    );
  }

  chatting(by: With = {}): ClientDuplexStream<Buffer, Buffer> {
    const { path, requestSerialize, responseDeserialize } = peerService.chat;
    return this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      by.metadata ?? new Metadata(),
      by.options ?? {},
    );
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** The outcome of a call that answers one message at most. */
function answered(start: (done: (error: ServiceError | null, message?: Buffer) => void) => AnyCall): Promise<Outcome> {
  return new Promise((over) => {
    let metadata = new Metadata();
    let message: Buffer | undefined;
    let status: StatusObject | undefined;
    let isDone = false;
    const finish = (): void => {
      if (status === undefined || !isDone) return;
      const { code, details, metadata: trailers } = status;
      over({ code, details, metadata, trailers, messages: message === undefined ? [] : [message] });
    };
    const call = start((_error, got) => {
      message = got;
      isDone = true;
      finish();
    });
    call.on('metadata', (got: Metadata) => {
      metadata = got;
    });
    call.on('status', (got: StatusObject) => {
      status = got;
      finish();
    });
  });
}

/** The outcome of a call that answers any number of messages. */
export function streamed(call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>): Promise<Outcome> {
  return new Promise((over) => {
    let metadata = new Metadata();
    const messages: Buffer[] = [];
    call.on('metadata', (got: Metadata) => {
      metadata = got;
    });
    call.on('data', (message: Buffer) => messages.push(message));
    // 'status' follows.
    call.on('error', () => {});
    call.on('status', ({ code, details, metadata: trailers }: StatusObject) => {
      over({ code, details, messages, metadata, trailers });
    });
  });
}
