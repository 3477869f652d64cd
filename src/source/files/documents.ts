// Texts of files into plain values: where one document ends and the next begins, and what each holds. Nothing here knows
// which objects the router reads, and no message carries a piece of the text, which may be a key or a Secret.

import { CORE_SCHEMA, load, mergeTag, YAMLException } from 'js-yaml';

/** One document of a file. `line` is the number of lines before it. */
export type DocumentText = { readonly text: string; readonly line: number };

/** The objects of a document, the items of a List one by one; or the line of the fault (0 is the document's first) and why. */
export type DocumentContent =
  | { readonly kind: 'objects'; readonly objects: readonly unknown[] }
  | { readonly kind: 'broken'; readonly line: number; readonly reason: string };

// An alias costs js-yaml nothing, but whoever walks the value pays for each: three levels of 33 aliases are the most that a
// document can make of this. Nobody writes a manifest with a hundred.
const maxAliases = 100;

// Lists above this are cut into their items before parsing, so that no single parse holds the event loop for long and an
// edited item does not cost its neighbours. `kubectl get -o yaml` writes such Lists.
const largeListLength = 32 * 1024;

const NEWLINE = 0x0a;
const separator = Buffer.from('\n---');
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

const yamlOptions = {
  // Timestamps stay strings in the core schema; merge keys are what kubectl's YAML reader knows, too.
  schema: CORE_SCHEMA.withTags(mergeTag),
  maxAliases,
};

/** The documents of a file, lazily, so that a caller can rest between two. Those without content are left out. */
export function* documentsOf(bytes: Buffer): Generator<DocumentText> {
  let line = 0;
  let start = bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark) ? byteOrderMark.length : 0;
  while (start < bytes.length) {
    const end = endOfDocument(bytes, start);
    const whole = bytes.toString('utf8', start, end);
    // A bare separator is no part of the text: a document stays the same when another is put before it.
    const bare = /^---[ \t]*(?:#.*)?(?:\r?\n|\r?$)/.exec(whole)?.[0] ?? '';
    const text = whole.slice(bare.length);
    if (hasContent(text)) yield* largeListItems({ text, line: line + (bare === '' ? 0 : 1) });
    for (let i = start; i < end; i++) if (bytes[i] === NEWLINE) line++;
    start = end;
  }
}

/** Reads one document. JSON Lists and YAML Lists give their items; a typed list (`RouteList`) gives its kind to its items. */
export function contentOf(text: string, format: 'yaml' | 'json'): DocumentContent {
  let value: unknown;
  try {
    value = format === 'json' ? JSON.parse(text) : load(text, yamlOptions);
  } catch (error) {
    return format === 'json' ? jsonFault(text, String(error)) : yamlFault(error);
  }
  if (value === null || value === undefined) return { kind: 'objects', objects: [] };
  return { kind: 'objects', objects: itemsOf(value) ?? [value] };
}

/** Where the next line that begins with a separator starts, or the end of the bytes. */
function endOfDocument(bytes: Buffer, start: number): number {
  for (let at = bytes.indexOf(separator, start); at >= 0; at = bytes.indexOf(separator, at + 1)) {
    const next = bytes[at + separator.length];
    if (next === undefined || next === NEWLINE || next === 0x0d || next === 0x20 || next === 0x09) return at + 1;
  }
  return bytes.length;
}

function hasContent(text: string): boolean {
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end).trim();
    if (line !== '' && line !== '...' && !line.startsWith('#') && !line.startsWith('%')) return true;
    start = end + 1;
  }
  return false;
}

function itemsOf(value: unknown): readonly unknown[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { apiVersion, kind, items } = value as { apiVersion?: unknown; kind?: unknown; items?: unknown };
  if (typeof kind !== 'string' || !kind.endsWith('List')) return undefined;
  if (kind === 'List') return Array.isArray(items) ? items : items == null ? [] : undefined;
  if (!Array.isArray(items)) return undefined;
  const itemKind = kind.slice(0, -'List'.length);
  return items.map((item) =>
    typeof item === 'object' && item !== null && !('kind' in item) ? { apiVersion, ...item, kind: itemKind } : item,
  );
}

/**
 * A large `kind: List` in block style as one document an item, plus one for what stands around the items; any other document
 * as it is. Lines of a block sequence's items are indented deeper than its dashes, so the cut is exact; anchors may be used
 * across items and keep a List whole.
 *
 *     apiVersion: v1        head          yielded last, blank lines in the
 *     items:                head          items' place: its lines stay true
 *     - kind: Route         item 1
 *       metadata: ...       item 1
 *     - kind: Service       item 2
 *     kind: List            tail
 */
function* largeListItems(document: DocumentText): Generator<DocumentText> {
  const { text } = document;
  const firstItem = text.length < largeListLength ? undefined : firstItemOf(text);
  if (firstItem === undefined) {
    yield document;
    return;
  }
  const { indent } = firstItem;
  const dash = `${indent}- `;
  let line = document.line + linesIn(text.slice(0, firstItem.start));
  const firstLine = line;
  let itemStart = firstItem.start;
  let itemLine = line;
  let at = firstItem.start;
  while (at < text.length) {
    const isDash = text.startsWith(dash, at);
    if (isDash && at > itemStart) {
      yield { text: itemText(text, indent, itemStart, at), line: itemLine };
      itemStart = at;
      itemLine = line;
    } else if (!isDash && !isInside(text, indent, at)) {
      break;
    }
    const newline = text.indexOf('\n', at);
    at = newline < 0 ? text.length : newline + 1;
    line++;
  }
  yield { text: itemText(text, indent, itemStart, at), line: itemLine };
  const around = `${text.slice(0, firstItem.start)}${'\n'.repeat(line - firstLine)}${text.slice(at)}`;
  yield { text: around, line: document.line };
}

function firstItemOf(text: string): { readonly start: number; readonly indent: string } | undefined {
  if (!text.startsWith('kind: List') && !text.includes('\nkind: List')) return undefined;
  const key = text.startsWith('items:') ? 0 : text.indexOf('\nitems:') + 1;
  const opening = /items:[ \t]*\r?\n(?:[ \t]*(?:#.*)?\r?\n)*( *)- /y;
  opening.lastIndex = key;
  const match = opening.exec(text);
  if (match === null || hasAnchor(text)) return undefined;
  const indent = match[1] ?? '';
  return { start: opening.lastIndex - indent.length - '- '.length, indent };
}

function hasAnchor(text: string): boolean {
  for (let at = text.indexOf('&'); at >= 0; at = text.indexOf('&', at + 1)) {
    if (/^[\s[{,]?&\S/.test(text.slice(Math.max(0, at - 1), at + 2))) return true;
  }
  return false;
}

/** Whether the line that starts here belongs to the item above it: deeper than the dash, blank or a comment. */
function isInside(text: string, indent: string, lineStart: number): boolean {
  if (text.startsWith(`${indent} `, lineStart)) return true;
  const newline = text.indexOf('\n', lineStart);
  const line = text.slice(lineStart, newline < 0 ? text.length : newline).trim();
  return line === '' || line.startsWith('#');
}

function itemText(text: string, indent: string, start: number, end: number): string {
  return `${indent}  ${text.slice(start + indent.length + '- '.length, end)}`;
}

function linesIn(text: string): number {
  return text.split('\n').length - 1;
}

// js-yaml quotes names of aliases and tags, and `password: *hunter2` makes a Secret's value such a name.
function yamlFault(error: unknown): DocumentContent {
  if (!(error instanceof YAMLException)) return { kind: 'broken', line: 0, reason: 'not valid YAML' };
  const reason = error.reason.replace(/".*"|!?<.*>|: .*$/gs, '').trim();
  return { kind: 'broken', line: error.mark?.line ?? 0, reason: `not valid YAML: ${reason}` };
}

// V8 tells either a position or a piece of the text around the fault. The piece serves to find the line and goes no further.
function jsonFault(text: string, message: string): DocumentContent {
  const line = /\(line (\d+) column \d+\)/.exec(message)?.[1];
  if (line !== undefined) return { kind: 'broken', line: Number(line) - 1, reason: 'not valid JSON' };
  if (message.includes('Unexpected end')) {
    return { kind: 'broken', line: linesIn(text.trimEnd()), reason: 'not valid JSON: it ends too early' };
  }
  const excerpt = /, (\.\.\.)?"(.*?)"(?:\.\.\.)? is not valid JSON$/s.exec(message);
  const found = text.indexOf(excerpt?.[2] ?? '');
  const leading = excerpt?.[1] === undefined ? 0 : excerptRadius;
  return { kind: 'broken', line: found < 0 ? 0 : linesIn(text.slice(0, found + leading)), reason: 'not valid JSON' };
}

const excerptRadius = 10;
