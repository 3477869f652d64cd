// The operator's header actions as the OpenShift router takes them (Route semantics 4.4, 8.11): `name:value:Set,name:Delete`, each
// part percent-encoded.

import {
  type HeaderAction,
  type HeaderDirection,
  headerActionProblem,
  parseHeaderValue,
} from '../table/header-actions.ts';
import { shownText } from './shown.ts';

/** The actions, or what is wrong with them, in the words of the reference where it has some. */
export type ReadActions =
  | { readonly kind: 'actions'; readonly actions: readonly HeaderAction[] }
  | { readonly kind: 'problem'; readonly because: string };

/** Reads a list of one action or more. */
export function readHeaderActions(text: string, direction: HeaderDirection): ReadActions {
  const actions: HeaderAction[] = [];
  for (const item of text.split(',')) {
    const parts: string[] = [];
    const encoded = item.split(':');
    if (encoded.length !== 2 && encoded.length !== 3)
      return problem(`invalid HTTP header input specification: ${shownText(item)}`);
    for (const part of encoded) {
      const decoded = decodedPart(part);
      if (decoded === null) return problem(`failed to decode percent encoding: ${shownText(part)}`);
      parts.push(decoded);
    }
    const [name = '', value = ''] = parts;
    const verb = parts.at(-1) ?? '';
    if (!/^[-!#$%&'*+.0-9A-Z^_`a-z|~]{1,255}$/.test(name))
      return problem(`invalid HTTP header name: ${shownText(name)}`);
    if (verb !== (parts.length === 3 ? 'Set' : 'Delete')) return problem(`invalid action: ${shownText(verb)}`);
    const read = parts.length === 3 ? parseHeaderValue(value, direction) : null;
    if (read === null && parts.length === 3) return problem(`invalid HTTP header value: ${shownText(value)}`);
    const action = { name, parts: read };
    const because = headerActionProblem(action);
    if (because !== null) return problem(`${name}: ${because}`);
    actions.push(action);
  }
  return { kind: 'actions', actions };
}

/** As a query is encoded: `+` is a blank. Null where a percent sign has not two digits behind it, or the bytes are no UTF-8. */
function decodedPart(part: string): string | null {
  try {
    return decodeURIComponent(part.replaceAll('+', ' '));
  } catch {
    return null;
  }
}

function problem(because: string): ReadActions {
  return { kind: 'problem', because };
}
