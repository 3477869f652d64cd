// Elements of DER (X.690): just enough to find one's way through certificates and revocation lists.

/** Where an element begins, where its content does, and where both end. */
export type DerElement = { readonly tag: number; readonly start: number; readonly body: number; readonly end: number };

/** Tag of a SEQUENCE. */
export const SEQUENCE = 0x30;

/** The elements inside of one, up to the first that is malformed. */
export function derChildren(der: Buffer, parent: DerElement): DerElement[] {
  const children: DerElement[] = [];
  let at = parent.body;
  while (at < parent.end) {
    const child = derElementAt(der, at, parent.end);
    if (child === null) break;
    children.push(child);
    at = child.end;
  }
  return children;
}

/** The element at `at`; null where it is malformed, or ends behind `limit`. */
export function derElementAt(der: Buffer, at: number, limit: number): DerElement | null {
  if (at + 2 > limit) return null;
  const tag = der.readUInt8(at);
  let body = at + 2;
  let length = der.readUInt8(at + 1);
  if (length >= 0x80) {
    const lengthBytes = length & 0x7f;
    // 0: the indefinite form of BER, which DER does not know.
    if (lengthBytes === 0 || lengthBytes > 4 || body + lengthBytes > limit) return null;
    length = der.readUIntBE(body, lengthBytes);
    body += lengthBytes;
  }
  const end = body + length;
  return end > limit ? null : { tag, start: at, body, end };
}
