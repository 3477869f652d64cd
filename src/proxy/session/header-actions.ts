// Carries header actions out (Route semantics 1.4, 5.6) on a head that is otherwise ready to be sent: so an action sees, and
// may replace, what the router itself has said. Only Routes with actions come here.

import { isValueChar, withoutBlanks } from '../../protocol/http-syntax.ts';
import type { HeaderAction, HeaderConverter, HeaderPart } from '../../table/header-actions.ts';

/** Bytes of values that one message may be given: fields of the client's may be named many times over. */
const maxValueBytes = 32_768;

/** A field line without its CRLF, and its name in lower case. */
type Line = { readonly key: string; readonly text: string };

/**
 * A head, from its first line to the empty one, after the actions, one after the other: each sees what those before it left.
 * `der`: the client's certificate, base64; empty for none. A value that is too long, or that has characters which no field may have
 * (as a certificate without `base64`), is left empty.
 */
export function editedHead(head: string, actions: readonly HeaderAction[], der: string): string {
  const startEnd = head.indexOf('\r\n') + 2;
  let lines = linesOf(head, startEnd);
  let room = maxValueBytes;
  for (const { name, parts } of actions) {
    const key = name.toLowerCase();
    const value = parts === null ? null : joinedValue(parts, lines, der, room);
    lines = lines.filter((line) => line.key !== key);
    if (value === null) continue;
    room -= value.length;
    lines.push({ key, text: `${name}: ${value}` });
  }
  let text = head.slice(0, startEnd);
  for (const line of lines) text += `${line.text}\r\n`;
  return `${text}\r\n`;
}

function linesOf(head: string, from: number): Line[] {
  const lines: Line[] = [];
  const end = head.length - 2;
  for (let at = from; at < end; ) {
    const lineEnd = head.indexOf('\r\n', at);
    const text = head.slice(at, lineEnd);
    lines.push({ key: text.slice(0, text.indexOf(':')).toLowerCase(), text });
    at = lineEnd + 2;
  }
  return lines;
}

function joinedValue(parts: readonly HeaderPart[], lines: readonly Line[], der: string, room: number): string {
  let value = '';
  for (const part of parts) {
    value += typeof part === 'string' ? part : converted(part, lines, der);
    if (value.length > room) return '';
  }
  // HTTP/2 knows no blanks around a value.
  return isFieldValue(value) ? withoutBlanks(value) : '';
}

function converted(part: Exclude<HeaderPart, string>, lines: readonly Line[], der: string): string {
  let value = 'field' in part ? lastElement(part.field, lines) : Buffer.from(der, 'base64').toString('latin1');
  for (const converter of part.converters) value = convert(value, converter);
  return value;
}

function convert(value: string, converter: HeaderConverter): string {
  if (converter === 'base64') return Buffer.from(value, 'latin1').toString('base64');
  // Not `toLowerCase`, which would change bytes of UTF-8 too.
  const bytes = Buffer.from(value, 'latin1');
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte >= 0x41 && byte <= 0x5a) bytes[i] = byte + 0x20;
  }
  return bytes.toString('latin1');
}

/** The last element of the last field of a name, as the reference has it; empty where there is none. */
function lastElement(name: string, lines: readonly Line[]): string {
  const line = lines.findLast(({ key }) => key === name);
  if (line === undefined) return '';
  const value = line.text.slice(name.length + 1);
  let start = 0;
  let quoted = false;
  for (let i = 0; i < value.length; i++) {
    const c = value[i];
    if (quoted && c === '\\') i++;
    else if (c === '"') quoted = !quoted;
    else if (c === ',' && !quoted) start = i + 1;
  }
  return withoutBlanks(value.slice(start));
}

function isFieldValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) if (!isValueChar(value.charCodeAt(i))) return false;
  return true;
}
