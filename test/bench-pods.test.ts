// The pods that the bench makes itself: whatever a router sends, and in whatever pieces, they answer as their protocols say.

import { describe, expect, test } from 'vitest';
import { GRPC_MESSAGE, UnaryPeer } from './bench/grpc-pod.ts';
import { manifestsOf } from './bench/manifests.ts';
import { numberedRoute } from './bench/scenarios/figure-scenario.ts';
import { SinkPeer, sinkAnswer } from './bench/sink-pod.ts';
import { echoesOf } from './bench/websocket-pod.ts';
import { clientFrame, opcodes, serverFrame } from './support/web-socket.ts';

describe('the WebSocket pod', () => {
  const payloads = ['', 'a', 'x'.repeat(64), 'y'.repeat(125)].map((text) => Buffer.from(text));
  const sent = Buffer.concat(payloads.map((payload) => clientFrame(opcodes.text, payload)));
  const expected = Buffer.concat(payloads.map((payload) => serverFrame(opcodes.text, payload)));

  test('sends frames back without their mask, wherever they are cut', () => {
    for (let cut = 0; cut <= sent.length; cut++) {
      const first = echoesOf(sent.subarray(0, cut));
      const second = first && echoesOf(Buffer.concat([first.rest, sent.subarray(cut)]));
      expect(Buffer.concat([first?.answers ?? Buffer.alloc(0), second?.answers ?? Buffer.alloc(0)])).toEqual(expected);
      expect(second?.rest).toHaveLength(0);
    }
  });

  test('refuses what is longer than any message of the bench', () => {
    expect(echoesOf(clientFrame(opcodes.text, Buffer.alloc(126)))).toBeNull();
  });
});

describe('the pod that takes bodies', () => {
  const upload = (bytes: number): string =>
    `POST / HTTP/1.1\r\nhost: a.test\r\nContent-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`;

  test('answers each with its size, wherever they are cut', () => {
    const sent = Buffer.from([5, 0, 40].map(upload).join(''));
    for (let cut = 0; cut <= sent.length; cut++) {
      const peer = new SinkPeer();
      const answers = `${peer.take(sent.subarray(0, cut))}${peer.take(sent.subarray(cut))}`;
      expect(answers.match(/\d+ bytes\n/g)).toEqual([5, 0, 40].map(sinkAnswer));
      expect(answers.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
    }
  });

  test.each([
    { name: 'a body without its length', text: 'POST / HTTP/1.1\r\nhost: a.test\r\n\r\n' },
    { name: 'a head without an end', text: 'x'.repeat(17_000) },
  ])('refuses $name', ({ text }) => {
    expect(new SinkPeer().take(Buffer.from(text))).toBeNull();
  });
});

describe('the gRPC pod', () => {
  const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  };
  const windowUpdate = (stream: number, bytes: number): Buffer => {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(bytes);
    return frame(0x8, 0, stream, payload);
  };
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const call = (stream: number): Buffer =>
    Buffer.concat([frame(0x1, 0x4, stream, Buffer.from([0x83])), frame(0x0, 0x1, stream, GRPC_MESSAGE)]);
  /** Type, flags and stream of each frame. */
  const framesOf = (bytes: Buffer): readonly (readonly number[])[] => {
    const found: number[][] = [];
    for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
      found.push([bytes.readUInt8(at + 3), bytes.readUInt8(at + 4), bytes.readUInt32BE(at + 5)]);
    }
    return found;
  };
  const answerOn = (stream: number): readonly (readonly number[])[] => [
    [0x1, 0x4, stream],
    [0x0, 0, stream],
    [0x1, 0x5, stream],
  ];

  test('acknowledges settings and pings and answers calls, wherever they are cut', () => {
    const sent = Buffer.concat([
      preface,
      frame(0x4, 0, 0, Buffer.alloc(6)),
      frame(0x4, 0x1, 0, Buffer.alloc(0)),
      call(1),
      frame(0x6, 0, 0, Buffer.from('8 bytes.')),
      call(3),
      // A call without a message.
      frame(0x1, 0x5, 5, Buffer.from([0x83])),
    ]);
    const expected = [[0x4, 0x1, 0], [0x6, 0x1, 0], ...answerOn(1), ...answerOn(3), ...answerOn(5)];
    for (let cut = 0; cut <= sent.length; cut++) {
      const peer = new UnaryPeer();
      const answers = Buffer.concat([peer.take(sent.subarray(0, cut)), peer.take(sent.subarray(cut))]);
      expect(framesOf(answers).toSorted()).toEqual(expected.toSorted());
      expect(answers.includes(GRPC_MESSAGE)).toBe(true);
      expect(answers.includes('8 bytes.')).toBe(true);
    }
  });

  test('keeps to the window of the connection', () => {
    const peer = new UnaryPeer();
    peer.take(preface);
    const calls = Math.ceil(65_535 / GRPC_MESSAGE.length);
    const answers = Array.from({ length: calls }, (_, i) => peer.take(call(2 * i + 1)));
    expect(answers.filter((answer) => answer.length === 0)).toEqual([Buffer.alloc(0)]);
    expect(answers.at(-1)).toHaveLength(0);
    // That of another stream is none of its.
    expect(peer.take(windowUpdate(1, 1_000))).toHaveLength(0);
    expect(framesOf(peer.take(windowUpdate(0, GRPC_MESSAGE.length)))).toEqual(answerOn(2 * calls - 1));
  });
});

test('an EndpointSlice tells the protocol of its pod where there is something to tell', () => {
  const route = numberedRoute(0, 8080);
  expect(manifestsOf(route)).not.toContain('appProtocol');
  expect(manifestsOf({ ...route, appProtocol: 'kubernetes.io/h2c' })).toContain(
    'ports:\n  - name: http\n    port: 8080\n    protocol: TCP\n    appProtocol: kubernetes.io/h2c\nendpoints:',
  );
});
