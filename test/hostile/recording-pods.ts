// Pods that write down everything that reaches them, for attacks whose question is what the pod sees.

import { flags } from '../support/http2/frames.ts';
import { valuesIn } from '../support/http2/raw-peer.ts';
import { RawPod } from '../support/http2/raw-pod.ts';
import { ok, type Peer, Pod } from '../support/peers.ts';

/** A request that has reached a pod whole. */
export type SeenRequest = {
  readonly method: string;
  readonly target: string;
  /** As `name: value`, names in lower case; of HTTP/2 the pseudo-fields too. */
  readonly fields: readonly string[];
  readonly body: string;
};

/** What has reached a pod. */
export type PodRecord = {
  readonly requests: readonly SeenRequest[];
  /** Heads of requests, also of those that never became whole. */
  readonly heads: number;
  /** Every byte; of HTTP/2 the fields, one a line, and the bodies. */
  readonly text: string;
};

export type RecordingPod = {
  readonly protocol: 'HTTP/1.1' | 'h2c';
  readonly port: number;
  /** What has come since this was asked last. */
  readonly take: () => PodRecord;
  readonly stop: () => Promise<void>;
};

/** A pod that speaks HTTP/1.1 and answers every request with 200. */
export async function startPlainPod(): Promise<RecordingPod> {
  let requests: SeenRequest[] = [];
  let text = '';
  const unfinished = new Set<Peer>();
  const pod = await Pod.start(async (peer) => {
    peer.socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    for (;;) {
      const { startLine, fields, body } = await peer.message();
      const [method = '', target = ''] = startLine.split(' ');
      requests.push({ method, target, fields: fields.map(lowerName), body: body.toString('latin1') });
      await peer.write(ok('ok'));
    }
  });
  return {
    protocol: 'HTTP/1.1',
    port: pod.port,
    take: () => {
      const begun = pod.connections.filter((peer) => peer.bytes.length > 0 && !unfinished.has(peer));
      for (const peer of begun) unfinished.add(peer);
      const record = { requests, heads: requests.length + begun.length, text };
      requests = [];
      text = '';
      return record;
    },
    stop: () => pod[Symbol.asyncDispose](),
  };
}

/** A pod that speaks HTTP/2 with prior knowledge and answers every request with 200 when it is whole. */
export async function startHttp2Pod(): Promise<RecordingPod> {
  let requests: SeenRequest[] = [];
  let text = '';
  let heads = 0;
  const pod = await RawPod.start(async (peer) => {
    const answer = async (id: number): Promise<void> => {
      const stream = peer.stream(id);
      await peer.until(() => stream.ended || stream.reset !== null, 3_600_000);
      text += stream.body;
      if (stream.reset !== null) return;
      const fields = stream.heads.flat().map(([name, value]) => `${name}: ${value}`);
      const method = valuesIn(stream.heads[0], ':method')[0] ?? '';
      requests.push({ method, target: valuesIn(stream.heads[0], ':path')[0] ?? '', fields, body: stream.body });
      peer.head(id, [[':status', '200']]);
      peer.writeData(id, Buffer.from('ok'), flags.endStream);
    };
    for (;;) {
      const id = await peer.request();
      heads++;
      text += (peer.stream(id).heads[0] ?? []).map(([name, value]) => `${name}: ${value}\n`).join('');
      answer(id).catch(() => {
        // The connection has ended.
      });
    }
  });
  return {
    protocol: 'h2c',
    port: pod.port,
    take: () => {
      const record = { requests, heads, text };
      requests = [];
      text = '';
      heads = 0;
      return record;
    },
    stop: () => pod[Symbol.asyncDispose](),
  };
}

function lowerName(line: string): string {
  const colon = line.indexOf(':');
  return line.slice(0, colon).toLowerCase() + line.slice(colon);
}
