// The body of a watch as events: one JSON object a line, in chunks that end anywhere.

/** One event of a watch. The object is as it came. */
export type WatchEvent = { readonly type: string; readonly object: Readonly<Record<string, unknown>> };

/** Objects in etcd have 1.5 MB at most; JSON with escapes may have a few times that. */
const maxLineBytes = 32 << 20;

const newline = 0x0a;

/** Thrown where a watch cannot be read any further: what it said last may be lost. */
export class BrokenWatch extends Error {
  override name = 'BrokenWatch';
}

/** Cuts a body into lines and reads them. */
export class WatchLines {
  #chunks: Buffer[] = [];
  #length = 0;

  /** The events that are whole with this chunk. Throws BrokenWatch for a line that is no event. */
  *read(chunk: Buffer): Generator<WatchEvent> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const rest = chunk.subarray(start, end);
      const line = this.#length === 0 ? rest : Buffer.concat([...this.#chunks, rest]);
      this.#chunks = [];
      this.#length = 0;
      start = end + 1;
      if (line.length > 0) yield eventOf(line);
    }
    if (start === chunk.length) return;
    this.#chunks.push(chunk.subarray(start));
    this.#length += chunk.length - start;
    if (this.#length > maxLineBytes) throw new BrokenWatch(`a line of the watch has more than ${maxLineBytes} bytes`);
  }
}

function eventOf(line: Buffer): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line.toString('utf8'));
  } catch {
    throw new BrokenWatch('a line of the watch is not JSON');
  }
  const { type, object } = (event ?? {}) as Partial<WatchEvent>;
  if (typeof type !== 'string' || typeof object !== 'object' || object === null) {
    throw new BrokenWatch('a line of the watch is no event');
  }
  return { type, object };
}
