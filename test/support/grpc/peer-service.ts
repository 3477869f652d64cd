// A gRPC service for tests. Its messages are bare bytes: what a proxy does to calls shows without a .proto file.

import type { MethodDefinition } from '@grpc/grpc-js';

/** The four kinds of calls that gRPC has. */
export type CallKind = 'unary' | 'collect' | 'list' | 'chat';

const asItIs = (message: Buffer): Buffer => message;

function method(path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  };
}

/** One method of each kind. */
export const peerService: Readonly<Record<CallKind, MethodDefinition<Buffer, Buffer>>> = {
  unary: method('/headgate.test.Peer/Unary', false, false),
  collect: method('/headgate.test.Peer/Collect', true, false),
  list: method('/headgate.test.Peer/List', false, true),
  chat: method('/headgate.test.Peer/Chat', true, true),
};
