// HTTP/1.1 messages as a lenient peer reads them: written anew for the tests, so that a mistake of the product's parser does
// not hide itself.

/** One message. All text is latin1: one character a byte. */
export type Message = {
  readonly startLine: string;
  /** Status of a response, 0 for a request. */
  readonly status: number;
  /** Field lines as they came, without their line ends. */
  readonly fields: readonly string[];
  /** Without the chunked coding. */
  readonly body: Buffer;
  /** Lines behind the last chunk. */
  readonly trailers: readonly string[];
  /** Every byte of it, head and body. */
  readonly text: string;
};

export type ReadOptions = {
  /** Whether this answers a HEAD: then no body follows, whatever the head says. */
  readonly head: boolean;
  /** Whether the sender has closed: what has no length is whole then. */
  readonly ended: boolean;
};

/** Values of a field, in order. */
export function valuesOf(message: Message, name: string): string[] {
  const prefix = `${name.toLowerCase()}:`;
  return message.fields
    .filter((line) => line.toLowerCase().startsWith(prefix))
    .map((line) => line.slice(prefix.length).trim());
}

/** The message that `bytes` begin with, or null if it is not whole yet. */
export function readMessage(bytes: Buffer, options: ReadOptions): Message | null {
  const headEnd = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  if (headEnd < 0) return null;
  const [startLine = '', ...fields] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const status = startLine.startsWith('HTTP/') ? Number(startLine.split(' ')[1]) : 0;
  const draft = { startLine, status, fields, body: Buffer.alloc(0), trailers: [] as string[], text: '' };
  const bodyAt = headEnd + 4;
  const finish = (end: number, body: Buffer, trailers: string[]): Message => ({
    ...draft,
    body,
    trailers,
    text: bytes.toString('latin1', 0, end),
  });
  const empty = options.head || (status >= 100 && status < 200) || status === 204 || status === 304;
  if (empty) return finish(bodyAt, draft.body, []);
  const length = valuesOf(draft, 'content-length')[0];
  if (valuesOf(draft, 'transfer-encoding').length > 0) {
    const read = readChunks(bytes, bodyAt);
    return read === null ? null : finish(read.end, read.body, read.trailers);
  }
  if (length !== undefined) {
    const end = bodyAt + Number(length);
    return bytes.length < end ? null : finish(end, bytes.subarray(bodyAt, end), []);
  }
  if (status === 0) return finish(bodyAt, draft.body, []);
  return options.ended ? finish(bytes.length, bytes.subarray(bodyAt), []) : null;
}

function readChunks(bytes: Buffer, from: number): { end: number; body: Buffer; trailers: string[] } | null {
  const pieces: Buffer[] = [];
  for (let at = from; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at, 'latin1');
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) {
      const trailers: string[] = [];
      for (;;) {
        const end = bytes.indexOf('\r\n', at, 'latin1');
        if (end < 0) return null;
        if (end === at) return { end: at + 2, body: Buffer.concat(pieces), trailers };
        trailers.push(bytes.toString('latin1', at, end));
        at = end + 2;
      }
    }
    if (bytes.length < at + size + 2) return null;
    pieces.push(bytes.subarray(at, at + size));
    at += size + 2;
  }
}
