// The first message of a TLS client, read without a TLS stack: enough to know which Host it wants (RFC 8446 4.1.2,
// RFC 6066 3, RFC 7301 3.1). Every byte comes from a stranger; nothing here throws or grows.

/** What a prefix of a connection's bytes says. `needBytes`: with fewer bytes than this, looking again is of no use. */
export type ClientHello =
  | { readonly kind: 'incomplete'; readonly needBytes: number }
  | { readonly kind: 'not-tls'; readonly reason: NotTlsReason }
  | { readonly kind: 'hello'; readonly serverName: string | undefined; readonly protocols: readonly string[] };

export type NotTlsReason = 'not-a-handshake' | 'too-large' | 'too-fragmented' | 'malformed';

/** A post-quantum hello is about 1.7 kB; a large one with many tickets stays far below this. */
export const maxHelloBytes = 16_384;

/** A hello may be split over several records (RFC 8446 5.1), but no honest client needs many. */
const maxRecords = 32;

const recordHeaderBytes = 5;
const maxRecordBytes = 16_384;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;

/** Reads the ClientHello at the start of a connection from all bytes that have come so far. */
export function readClientHello(bytes: Buffer): ClientHello {
  const message = gatherHandshake(bytes);
  return Buffer.isBuffer(message) ? readHello(message) : message;
}

/** The body of the first handshake message, with the record headers taken out. */
function gatherHandshake(bytes: Buffer): Buffer | ClientHello {
  const fragments: Buffer[] = [];
  let gathered = 0;
  let needed = 4;
  let at = 0;
  for (let records = 0; records < maxRecords; records++) {
    if (at < bytes.length && bytes[at] !== HANDSHAKE) return notTls('not-a-handshake');
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return notTls('not-a-handshake');
    if (bytes.length - at < recordHeaderBytes) return incomplete(at + recordHeaderBytes);
    const length = bytes.readUInt16BE(at + 3);
    // RFC 8446 5.1: no empty handshake fragments.
    if (length === 0 || length > maxRecordBytes) return notTls('malformed');
    const start = at + recordHeaderBytes;
    const end = start + length;
    const fragment = bytes.subarray(start, Math.min(end, bytes.length));
    fragments.push(fragment);
    gathered += fragment.length;
    if (gathered >= 4) {
      const head = fragments.length === 1 ? fragment : Buffer.concat(fragments);
      if (head[0] !== CLIENT_HELLO) return notTls('not-a-handshake');
      needed = 4 + head.readUIntBE(1, 3);
      if (needed > maxHelloBytes) return notTls('too-large');
      if (gathered >= needed) return head.subarray(4, needed);
    }
    if (bytes.length < end) return incomplete(Math.min(end, bytes.length + needed - gathered));
    at = end;
  }
  return notTls('too-fragmented');
}

function readHello(hello: Buffer): ClientHello {
  // legacy_version, random, then three vectors (session id, cipher suites, compression methods), then extensions.
  let at = 2 + 32;
  for (const lengthBytes of [1, 2, 1]) {
    if (at + lengthBytes > hello.length) return notTls('malformed');
    at += lengthBytes + hello.readUIntBE(at, lengthBytes);
  }
  if (at === hello.length) return { kind: 'hello', serverName: undefined, protocols: [] };
  if (at + 2 > hello.length || at + 2 + hello.readUInt16BE(at) !== hello.length) return notTls('malformed');
  at += 2;
  let serverName: string | undefined;
  let protocols: readonly string[] = [];
  while (at < hello.length) {
    if (at + 4 > hello.length) return notTls('malformed');
    const type = hello.readUInt16BE(at);
    const end = at + 4 + hello.readUInt16BE(at + 2);
    if (end > hello.length) return notTls('malformed');
    const body = hello.subarray(at + 4, end);
    if (type === SERVER_NAME) {
      // RFC 8446 4.2: one extension of a type. Two names would let this parser and a pod's disagree.
      if (serverName !== undefined) return notTls('malformed');
      serverName = readServerName(body);
      if (serverName === undefined) return notTls('malformed');
    } else if (type === ALPN) {
      const names = readProtocols(body);
      if (names === undefined) return notTls('malformed');
      protocols = names;
    }
    at = end;
  }
  return { kind: 'hello', serverName, protocols };
}

/** ServerNameList with exactly one host_name (RFC 6066 3 allows no second of a type, and defines no other type). */
function readServerName(body: Buffer): string | undefined {
  if (body.length < 5 || body.readUInt16BE(0) !== body.length - 2 || body[2] !== 0) return undefined;
  const length = body.readUInt16BE(3);
  if (length === 0 || length !== body.length - 5) return undefined;
  return body.toString('latin1', 5, 5 + length);
}

function readProtocols(body: Buffer): readonly string[] | undefined {
  if (body.length < 2 || body.readUInt16BE(0) !== body.length - 2) return undefined;
  const names: string[] = [];
  for (let at = 2; at < body.length; ) {
    const length = body.readUInt8(at);
    if (length === 0 || at + 1 + length > body.length) return undefined;
    names.push(body.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return names;
}

function incomplete(needBytes: number): ClientHello {
  return { kind: 'incomplete', needBytes };
}

function notTls(reason: NotTlsReason): ClientHello {
  return { kind: 'not-tls', reason };
}
