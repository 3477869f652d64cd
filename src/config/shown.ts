// Which typed texts a problem may show: what is typed into the wrong place may be a private key, and problems end up in logs.

/** A text as it is, or only how long it is where it looks like key material or is too long for a line. */
export function shownText(text: string): string {
  return isPresentable(text) ? text : lengthOf(text);
}

/** The same, but quoted. */
export function quoted(text: string): string {
  return isPresentable(text) ? JSON.stringify(text) : lengthOf(text);
}

function isPresentable(text: string): boolean {
  return text.length <= 120 && !text.includes('-----') && !/[\r\n]/.test(text);
}

function lengthOf(text: string): string {
  return `(a text of ${text.length} characters)`;
}
