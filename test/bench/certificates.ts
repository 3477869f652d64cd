// Certificates for a run of the bench, made by openssl.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LOAD_CPU, type Workspace } from './workspace.ts';

/** PEM texts of a chain and its key. */
export type KeyPair = {
  readonly chain: string;
  readonly key: string;
};

/** RSA-2048, what most Routes carry, or P-256. */
export type KeyKind = 'rsa' | 'ec';

const NEW_KEY: Readonly<Record<KeyKind, readonly string[]>> = {
  rsa: ['-newkey', 'rsa:2048'],
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
};

/** A self-signed certificate for `host`; as its own authority it can be verified against itself. */
export async function makeKeyPair(workspace: Workspace, host: string, kind: KeyKind = 'rsa'): Promise<KeyPair> {
  const folder = workspace.folder('openssl');
  const [keyFile, chainFile] = [join(folder, `${host}.key`), join(folder, `${host}.crt`)];
  await workspace.run(LOAD_CPU, 'openssl', [
    ...['req', '-x509', ...NEW_KEY[kind], '-sha256', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`],
    ...['-keyout', keyFile, '-out', chainFile],
  ]);
  return { chain: readFileSync(chainFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

/** Writes chain and key into one file, as HAProxy and Headgate's default certificate want them. Answers its path. */
export function writePem(path: string, pair: KeyPair): string {
  writeFileSync(path, `${pair.chain}${pair.key}`, { mode: 0o600 });
  return path;
}
