// Hashes by which everybody agrees, without asking, who of several is chosen for a text (rendezvous hashing).

/** FNV-1a of a text of ASCII characters, 32 bits. */
export function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** What a candidate is worth to an asker, 0 to 2^32 - 1, evenly spread; each by its `textHash`. */
export function rendezvousHash(asker: number, candidate: number): number {
  // The last step of MurmurHash3: every bit of either changes every bit of the result with even chances.
  let hash = Math.imul(asker, 0x9e3779b1) ^ candidate;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
