// Field names in the spelling that old peers want (Route semantics 5.21). Names mean the same however they are spelt (RFC 9110
// 5.1), so nothing but letters of names changes, and a head keeps its length.

/** The wanted spellings, by their names in lower case. */
export type FieldSpellings = ReadonlyMap<string, string>;

/** The spellings that a list of names asks for, the last one of a name; null where it asks for none. */
export function spellingsOf(names: readonly string[]): FieldSpellings | null {
  return names.length === 0 ? null : new Map(names.map((name) => [name.toLowerCase(), name]));
}

/** A message, or a head with its empty line, with the names that are listed in the spelling of the list. */
export function respelt(message: string, spellings: FieldSpellings): string {
  let text = '';
  let keptAt = 0;
  let at = message.indexOf('\r\n') + 2;
  for (;;) {
    const end = message.indexOf('\r\n', at);
    if (end <= at) break;
    const colon = message.indexOf(':', at);
    const name = message.slice(at, colon);
    const wanted = spellings.get(name.toLowerCase());
    if (wanted !== undefined && wanted !== name) {
      text += message.slice(keptAt, at) + wanted;
      keptAt = colon;
    }
    at = end + 2;
  }
  return text + message.slice(keptAt);
}
