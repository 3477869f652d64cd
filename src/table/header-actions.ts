// What Routes and the operator may do to header fields (Route semantics 1.4): the actions, and the grammar of their values.

/** How a part of a value is written: `lower` in lower case (ASCII), `base64` as base64 of its bytes. */
export type HeaderConverter = 'lower' | 'base64';

/** A piece of a value: a text as it is, one byte a character, or what is found out for each message. */
export type HeaderPart =
  | string
  | { readonly field: string; readonly converters: readonly HeaderConverter[] }
  | { readonly clientCertificate: 'der'; readonly converters: readonly HeaderConverter[] };

/** One action. All fields of the name go; unless `parts` is null, one with their joined value comes. */
export type HeaderAction = {
  /** As it is written to the peer. */
  readonly name: string;
  readonly parts: readonly HeaderPart[] | null;
};

/** Whether actions are for requests on their way to pods, or for their answers. */
export type HeaderDirection = 'request' | 'response';

/**
 * Fields that say how a message is delimited or what becomes of its connection: the router's own business between two peers,
 * whatever a Route would have them say.
 */
const routersOwn: ReadonlySet<string> = new Set([
  ...[
    'connection',
    'content-length',
    'transfer-encoding',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'upgrade',
  ],
  'http2-settings',
]);

/** Why an action cannot be carried out without breaking the message; null where it can. */
export function headerActionProblem({ name, parts }: HeaderAction): string | null {
  const lower = name.toLowerCase();
  if (routersOwn.has(lower)) return 'the router itself decides on this field';
  if (lower === 'host' && parts === null) return 'no request goes without Host';
  return null;
}

/** The pieces of a value, or null where it does not follow the grammar (Route semantics 1.4, cases C1 to C26). */
export function parseHeaderValue(text: string, direction: HeaderDirection): readonly HeaderPart[] | null {
  const pieces =
    direction === 'request'
      ? /%%|%(?:\{[-+]?[QXE](?:,[-+]?[QXE])*\})?\[(?:req\.hdr\(([-0-9A-Za-z]+)\)|ssl_c_der)((?:,(?:lower|base64))*)\]|[^%\x00-\x1f\x7f]+/y
      : /%%|%(?:\{[-+]?[QXE](?:,[-+]?[QXE])*\})?\[(?:res\.hdr\(([-0-9A-Za-z]+)\)|ssl_c_der)((?:,(?:lower|base64))*)\]|[^%\x00-\x1f\x7f]+/y;
  const parts: HeaderPart[] = [];
  let literal = '';
  let end = 0;
  for (let found = pieces.exec(text); found !== null; found = pieces.exec(text)) {
    end = pieces.lastIndex;
    const [piece, name, listed] = found;
    if (listed === undefined) {
      literal += piece === '%%' ? '%' : piece;
      continue;
    }
    if (literal !== '') parts.push(inBytes(literal));
    literal = '';
    // The flags have no effect in a value of a header, as observed of the reference.
    const converters = listed.split(',').filter((converter) => converter !== '') as HeaderConverter[];
    parts.push(
      name === undefined ? { clientCertificate: 'der', converters } : { field: name.toLowerCase(), converters },
    );
  }
  if (literal !== '') parts.push(inBytes(literal));
  return text !== '' && end === text.length ? parts : null;
}

/** An action as people read it, its value as it would be written in a Route. */
export function headerActionText({ name, parts }: HeaderAction, direction: HeaderDirection): string {
  if (parts === null) return `Delete ${name}`;
  const fetch = direction === 'request' ? 'req' : 'res';
  const pieces = parts.map((part) => {
    if (typeof part === 'string') return fromBytes(part).replaceAll('%', '%%');
    const sample = 'field' in part ? `${fetch}.hdr(${part.field})` : 'ssl_c_der';
    return `%[${[sample, ...part.converters].join(',')}]`;
  });
  return `Set ${name}: ${pieces.join('')}`;
}

/** One character for each byte of UTF-8, as heads are written: no character may turn into a line feed on its way out. */
function inBytes(text: string): string {
  let bytes = '';
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

function fromBytes(bytes: string): string {
  return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
}
