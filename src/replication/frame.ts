// Messages between the controller and its workers, as bytes: four bytes of length, one of type, JSON. Both ends are the
// same build, so nothing is checked but what tells a broken stream from a whole one.

import type { Change, Delta, Revision } from '../table/delta.ts';
import type { JsonValue } from './peers.ts';

/** What the controller says. A snapshot comes in parts, so that neither end's event loop stalls. */
export type ControllerMessage =
  | { readonly kind: 'delta'; readonly delta: Delta }
  | { readonly kind: 'snapshot-begin' }
  | { readonly kind: 'snapshot-part'; readonly changes: readonly Change[] }
  | { readonly kind: 'snapshot-end'; readonly revision: Revision }
  /** The workers on the channel. Comes with each that joins or leaves. */
  | { readonly kind: 'peers'; readonly workers: readonly number[] }
  /** What another worker tells all others. */
  | { readonly kind: 'told'; readonly from: number; readonly topic: string; readonly value: JsonValue };

/** What a worker says. */
export type WorkerMessage =
  | { readonly kind: 'hello'; readonly worker: number; readonly revision: Revision }
  | { readonly kind: 'ack'; readonly revision: Revision }
  | { readonly kind: 'gap'; readonly revision: Revision }
  | { readonly kind: 'tell'; readonly topic: string; readonly value: JsonValue };

export type Message = ControllerMessage | WorkerMessage;

const kinds: readonly Message['kind'][] = [
  'delta',
  'snapshot-begin',
  'snapshot-part',
  'snapshot-end',
  'hello',
  'ack',
  'gap',
  'peers',
  'told',
  'tell',
];

const headerBytes = 5;
/** Far above any Delta; a length beyond it means that the stream is out of step. */
const maxFrameBytes = 256 << 20;

export function encodeFrame(message: Message): Buffer {
  return frameOf(message.kind, JSON.stringify(message));
}

/** The frame of a `tell` whose value is JSON already: how long it is had to be known before. */
export function encodeTell(topic: string, json: string): Buffer {
  return frameOf('tell', `{"kind":"tell","topic":${JSON.stringify(topic)},"value":${json}}`);
}

function frameOf(kind: Message['kind'], json: string): Buffer {
  const length = Buffer.byteLength(json);
  const frame = Buffer.allocUnsafe(headerBytes + length);
  frame.writeUInt32BE(length, 0);
  frame.writeUInt8(kinds.indexOf(kind), 4);
  frame.write(json, headerBytes);
  return frame;
}

/** Thrown by FrameReader when the stream cannot be followed any more. */
export class BrokenStream extends Error {
  override name = 'BrokenStream';
}

/** Cuts a stream of bytes into messages. */
export class FrameReader {
  #pieces: Buffer[] = [];
  #length = 0;

  /** The messages that are whole with this piece. Throws BrokenStream on nonsense. */
  *read(piece: Buffer): Generator<Message> {
    this.#pieces.push(piece);
    this.#length += piece.length;
    while (this.#length >= headerBytes) {
      const head = this.#joined(headerBytes);
      const length = head.readUInt32BE(0);
      if (length > maxFrameBytes) throw new BrokenStream(`frame of ${length} bytes`);
      if (this.#length < headerBytes + length) return;
      const frame = this.#joined(headerBytes + length);
      const message = messageIn(frame.toString('utf8', headerBytes, headerBytes + length));
      if (message === undefined || message.kind !== kinds[frame[4] ?? 255]) {
        throw new BrokenStream(`frame of ${length} bytes that is no message`);
      }
      this.#drop(headerBytes + length);
      yield message;
    }
  }

  /** A first piece that holds at least `bytes`. A long frame's pieces are joined once, when its last one is here. */
  #joined(bytes: number): Buffer {
    const first = this.#pieces[0];
    if (first !== undefined && first.length >= bytes) return first;
    const joined = Buffer.concat(this.#pieces);
    this.#pieces = [joined];
    return joined;
  }

  #drop(bytes: number): void {
    const first = this.#pieces[0];
    if (first === undefined) return;
    this.#length -= bytes;
    if (first.length === bytes) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(bytes);
  }
}

/** Undefined where the text is no message. The parser's own error would quote the text, and there are keys in it. */
function messageIn(json: string): Message | undefined {
  try {
    return (JSON.parse(json) as Message | null) ?? undefined;
  } catch {
    return undefined;
  }
}
