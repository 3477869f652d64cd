// What a sticky cookie may be called, by an annotation or a setting (Route semantics 5.8).

/** Whether a text is a name of letters, digits, `_` and `-`: fewer than RFC 6265 takes, as the reference has it. */
export function isCookieName(text: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(text);
}
