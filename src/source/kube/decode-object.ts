// Objects as the API server sends them: of a known kind, whether they say so or not.

import { type Decoded, decodeFaultyRoute, decodeManifest } from '../decode-manifest.ts';

/** What an object of this kind turned out to be. A Route that cannot be read is a Route with a fault, for its owner to see. */
export function decodeObject(object: unknown, apiVersion: string, kind: string): Decoded {
  // Items of a list leave out what the list has said.
  const whole = { ...(object as object), apiVersion, kind };
  const decoded = decodeManifest(whole);
  if (decoded.kind !== 'invalid' || kind !== 'Route') return decoded;
  const manifest = decodeFaultyRoute(whole, decoded.reason);
  return manifest === null ? decoded : { kind: 'manifest', manifest };
}
