// What both ends of HPACK know without being told (RFC 7541, Appendix A and B): the fields of the static table, and the
// Huffman code with its decoder.

/** The static table by index, 1 to 61; what stands at 0 is no entry. */
const staticFields: ReadonlyArray<readonly [name: string, value: string]> = [
  ['', ''],
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
];

/** Names of the static table by index (Appendix A). Fields of one name stand together. */
export const staticNames: readonly string[] = staticFields.map(([name]) => name);

/** Values of the static table by index; empty where the table gives a name alone. */
export const staticValues: readonly string[] = staticFields.map(([, value]) => value);

/** The first index of the dynamic table. */
export const firstDynamicIndex: number = staticFields.length;

/** Bits of each octet's code (Appendix B). The code is canonical: in order of length, then of octet, the codes count up. */
const codeBits: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
];

/** EOS is so many one bits. It is no octet, and an error where it stands whole in a string (5.2). */
const endBits = 30;

/** The tree's inner nodes, and the one that EOS leads to. */
const nodes = 257;

/** Nodes below this have been reached from the root by one bits alone, so few that they may be padding. */
const paddingNodes = 8;

/**
 * What four bits do at a node: where they lead, times 16, in the low 13 bits; the octet that they complete in bits 16 to
 * 23; bit 24 when there is one. Four bits at a time take two steps an octet, but the table is small enough to stay in the
 * first cache; one of 256 columns is faster as long as nothing else runs, and slower as soon as something does.
 */
const steps: Int32Array = makeSteps(makeTree());
const nodeMask = 0x1ff0;

/** Both children of each node: another node, or an octet's complement (which is negative). */
function makeTree(): Int16Array {
  const children = new Int16Array(2 * nodes);
  // EOS comes first, so that the node behind n one bits has the number n. Nothing leads away from its last one.
  for (let ones = 0; ones < endBits; ones++) children[2 * ones + 1] = ones + 1;
  children.fill(endBits, 2 * endBits, 2 * endBits + 2);
  let made = endBits + 1;
  let code = 0;
  for (let bits = 1; bits <= endBits; bits++) {
    code *= 2;
    for (let octet = 0; octet < 256; octet++) {
      if (codeBits[octet] !== bits) continue;
      let node = 0;
      for (let bit = bits - 1; bit > 0; bit--) {
        const branch = 2 * node + ((code >> bit) & 1);
        if (children[branch] === 0) children[branch] = made++;
        node = children[branch] ?? 0;
      }
      children[2 * node + (code & 1)] = ~octet;
      code++;
    }
  }
  return children;
}

function makeSteps(children: Int16Array): Int32Array {
  const made = new Int32Array(16 * nodes);
  for (let at = 0; at < made.length; at++) {
    let node = at >> 4;
    let completed = 0;
    for (let bit = 3; bit >= 0; bit--) {
      const child = children[2 * node + ((at >> bit) & 1)] ?? 0;
      if (child < 0) completed = (1 << 24) | (~child << 16);
      node = Math.max(child, 0);
    }
    made[at] = completed | (node << 4);
  }
  return made;
}

/** Longer strings than half of this are rare, and get a buffer of their own. */
const scratch = Buffer.allocUnsafeSlow(8192);

/**
 * The octets that bytes[from, to) stand for, one character each. Null when EOS is in the data, or when what is left behind
 * the last octet is more than seven bits or not all ones (RFC 7541 5.2).
 */
export function decodeHuffman(bytes: Buffer, from: number, to: number): string | null {
  // No code is shorter than four bits.
  const mostOctets = 2 * (to - from);
  const octets = mostOctets > scratch.length ? Buffer.allocUnsafeSlow(mostOctets) : scratch;
  let count = 0;
  let node = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    let step = steps[node | (byte >> 4)] ?? 0;
    // Written in any case, counted when complete: cheaper than to ask.
    octets[count] = step >> 16;
    count += step >> 24;
    step = steps[(step & nodeMask) | (byte & 15)] ?? 0;
    octets[count] = step >> 16;
    count += step >> 24;
    node = step & nodeMask;
  }
  return node < 16 * paddingNodes ? octets.toString('latin1', 0, count) : null;
}
