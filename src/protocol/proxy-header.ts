// The PROXY protocol, versions 1 and 2, read and written: what a load balancer says of a client before the client's own bytes
// (HAProxy's "The PROXY protocol", sections 2.1 and 2.2). Whoever may send it is believed, so it is read strictly.

import { isIP, isIPv4 } from 'node:net';
import { canonicalAddress, ipv4Bytes, ipv6Bytes, ipv6Text } from './ip-address.ts';

/** One end of a TCP connection. */
export type TransportAddress = { readonly address: string; readonly port: number };

/**
 * What a prefix of a connection's bytes says. `needBytes`: with fewer bytes than this, looking again is of no use. `absent`:
 * what comes is no PROXY header at all. `header`: it took so many `bytes`; an IPv4 address mapped into IPv6 is given as IPv4,
 * and null means that the connection's own addresses stand (LOCAL, UNKNOWN, and families that are not IP).
 */
export type ProxyHeader =
  | { readonly kind: 'incomplete'; readonly needBytes: number }
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'too-long' }
  | {
      readonly kind: 'header';
      readonly bytes: number;
      readonly source: TransportAddress | null;
      readonly destination: TransportAddress | null;
    };

/** A header of version 1 is one line, line end included (2.1). */
const maxTextBytes = 107;
/** Behind the first 16 bytes of a header of version 2. Addresses take 216 at most; the rest is for TLVs, which few senders use. */
const maxBinaryBytes = 4096;

/** More bytes than this are never needed to tell what a header says. */
export const maxProxyHeaderBytes: number = 16 + maxBinaryBytes;

const textSignature = Buffer.from('PROXY ', 'latin1');
const binarySignature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const fixedBytes = 16;

const LF = 0x0a;
const CR = 0x0d;
const LOCAL = 0;
const PROXY = 1;
const CRC32C = 0x03;

/** Bytes of the addresses of each family and transport that there is (2.2): any other pair of the two is malformed. */
const addressBytes: Readonly<Record<number, number>> = {
  0: 0,
  // TCP and UDP over IPv4, over IPv6, and UNIX sockets of both kinds. UDP: a balancer that ends HTTP/3 names its client so.
  17: 12,
  18: 12,
  33: 36,
  34: 36,
  49: 216,
  50: 216,
};

const malformed: ProxyHeader = { kind: 'malformed' };

/** Reads the PROXY header at the start of a connection from all bytes that have come so far. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (beginsLike(bytes, binarySignature)) {
    if (bytes.length < binarySignature.length) return incomplete(bytes.length + 1);
    return readBinary(bytes);
  }
  if (!beginsLike(bytes, textSignature)) return { kind: 'absent' };
  return bytes.length < textSignature.length ? incomplete(bytes.length + 1) : readText(bytes);
}

/** Whether the bytes begin with the signature, as far as they go. */
function beginsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function readText(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, maxTextBytes).indexOf(LF);
  if (end < 0) return bytes.length < maxTextBytes ? incomplete(bytes.length + 1) : { kind: 'too-long' };
  if (bytes[end - 1] !== CR) return malformed;
  const length = end + 1;
  const [, family, source, destination, sourcePort, destinationPort, ...rest] = bytes
    .toString('latin1', 0, end - 1)
    .split(' ');
  // What follows this word is to be ignored (2.1).
  if (family === 'UNKNOWN') return { kind: 'header', bytes: length, source: null, destination: null };
  if ((family !== 'TCP4' && family !== 'TCP6') || rest.length > 0) return malformed;
  const from = readTextAddress(family, source, sourcePort);
  const to = readTextAddress(family, destination, destinationPort);
  return from === null || to === null ? malformed : { kind: 'header', bytes: length, source: from, destination: to };
}

function readTextAddress(
  family: 'TCP4' | 'TCP6',
  address: string | undefined,
  port: string | undefined,
): TransportAddress | null {
  if (address === undefined || port === undefined || !/^(0|[1-9]\d{0,4})$/.test(port)) return null;
  if (isIP(address) !== (family === 'TCP4' ? 4 : 6)) return null;
  const canonical = canonicalAddress(address);
  return canonical === null || Number(port) > 65_535 ? null : { address: canonical, port: Number(port) };
}

function readBinary(bytes: Buffer): ProxyHeader {
  if (bytes.length < fixedBytes) return incomplete(fixedBytes);
  const version = bytes.readUInt8(12) >> 4;
  const command = bytes.readUInt8(12) & 0x0f;
  const family = bytes.readUInt8(13);
  const bodyBytes = bytes.readUInt16BE(14);
  if (version !== 2 || (command !== LOCAL && command !== PROXY)) return malformed;
  const needed = addressBytes[family];
  // Of LOCAL everything behind the command is to be discarded, whatever it says.
  if (command === PROXY && (needed === undefined || bodyBytes < needed)) return malformed;
  if (bodyBytes > maxBinaryBytes) return { kind: 'too-long' };
  const length = fixedBytes + bodyBytes;
  if (bytes.length < length) return incomplete(length);
  if (command === LOCAL || needed === undefined || needed === 0) {
    return { kind: 'header', bytes: length, source: null, destination: null };
  }
  if (!extensionsFit(bytes.subarray(0, length), fixedBytes + needed)) return malformed;
  if (needed === 12) {
    const source = { address: ipv4Text(bytes, 16), port: bytes.readUInt16BE(24) };
    return {
      kind: 'header',
      bytes: length,
      source,
      destination: { address: ipv4Text(bytes, 20), port: bytes.readUInt16BE(26) },
    };
  }
  if (needed === 36) {
    const source = { address: ipv6Text(bytes.subarray(16, 32)), port: bytes.readUInt16BE(48) };
    const destination = { address: ipv6Text(bytes.subarray(32, 48)), port: bytes.readUInt16BE(50) };
    return { kind: 'header', bytes: length, source, destination };
  }
  return { kind: 'header', bytes: length, source: null, destination: null };
}

/** Whether the TLVs from `at` on end where the header does, and the checksum among them, if any, is that of the header. */
function extensionsFit(header: Buffer, at: number): boolean {
  let checksumAt = 0;
  while (at < header.length) {
    if (at + 3 > header.length) return false;
    const valueBytes = header.readUInt16BE(at + 1);
    if (at + 3 + valueBytes > header.length) return false;
    if (header[at] === CRC32C) {
      if (checksumAt !== 0 || valueBytes !== 4) return false;
      checksumAt = at + 3;
    }
    at += 3 + valueBytes;
  }
  return checksumAt === 0 || header.readUInt32BE(checksumAt) === headerChecksum(header, checksumAt);
}

const checksumTable: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0x82f6_3b78 : rest >>> 1;
  return rest;
});

/** CRC-32C (RFC 3720 B.4) of a header, its own four bytes taken for zero. */
function headerChecksum(header: Buffer, checksumAt: number): number {
  let sum = 0xffff_ffff;
  for (const [i, byte] of header.entries()) {
    const counted = i >= checksumAt && i < checksumAt + 4 ? 0 : byte;
    sum = (checksumTable[(sum ^ counted) & 0xff] ?? 0) ^ (sum >>> 8);
  }
  return (sum ^ 0xffff_ffff) >>> 0;
}

/**
 * The header that tells of a connection from `source` to `destination`. Where one of them is IPv4 and the other IPv6, both
 * are written as IPv6; where one is no IP address (a client that has just gone has none), the receiver is told to go by its own.
 */
export function renderProxyHeader(
  version: 'v1' | 'v2',
  source: TransportAddress,
  destination: TransportAddress,
): Buffer {
  const from = canonicalAddress(source.address);
  const to = canonicalAddress(destination.address);
  const family = from === null || to === null ? 'unknown' : isIPv4(from) && isIPv4(to) ? 'IPv4' : 'IPv6';
  const ports = [source.port, destination.port] as const;
  return version === 'v1'
    ? Buffer.from(renderText(family, from ?? '', to ?? '', ports), 'latin1')
    : renderBinary(family, from ?? '', to ?? '', ports);
}

type WrittenFamily = 'unknown' | 'IPv4' | 'IPv6';

function renderText(family: WrittenFamily, from: string, to: string, ports: readonly [number, number]): string {
  if (family === 'unknown') return 'PROXY UNKNOWN\r\n';
  const text = (address: string): string => (family === 'IPv6' && isIPv4(address) ? `::ffff:${address}` : address);
  return `PROXY ${family === 'IPv4' ? 'TCP4' : 'TCP6'} ${text(from)} ${text(to)} ${ports[0]} ${ports[1]}\r\n`;
}

function renderBinary(family: WrittenFamily, from: string, to: string, ports: readonly [number, number]): Buffer {
  // LOCAL, and not a PROXY without addresses, which a receiver may refuse.
  if (family === 'unknown') return Buffer.concat([binarySignature, Buffer.from([0x20, 0x00, 0, 0])]);
  const bytesOf = family === 'IPv4' ? ipv4Bytes : ipv6Bytes;
  const body = Buffer.concat([bytesOf(from), bytesOf(to), Buffer.alloc(4)]);
  body.writeUInt16BE(ports[0], body.length - 4);
  body.writeUInt16BE(ports[1], body.length - 2);
  return Buffer.concat([
    binarySignature,
    Buffer.from([0x20 | PROXY, family === 'IPv4' ? 0x11 : 0x21, 0, body.length]),
    body,
  ]);
}

function ipv4Text(bytes: Buffer, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

function incomplete(needBytes: number): ProxyHeader {
  return { kind: 'incomplete', needBytes };
}
