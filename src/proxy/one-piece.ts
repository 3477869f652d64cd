// Texts that become part of many heads.

/**
 * The same text of one byte a character, but not as a tree of the pieces that it was made of: the tree would be put together
 * again for each head that it goes into.
 */
export function inOnePiece(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
