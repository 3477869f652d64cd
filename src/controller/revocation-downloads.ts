// Revocation lists fetched from the addresses that CA certificates name (Route semantics 5.13), again before they run out. All of
// them or none: with one missing, the certificates of its CA would be refused anyway, and nobody would know why.

import { Agent, type IncomingMessage, request } from 'node:http';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { type ProxySettings, proxyFor } from './download-proxy.ts';
import { certificatesIn, readPem } from './pem.ts';
import { pemOfList, readList, readRevocationLists } from './revocation-lists.ts';
import { crlAddressesOf } from './x509-fields.ts';

const maxAddresses = 64;
const maxListBytes = 4_194_304;
const fetchTimeoutMs = 30_000;
/** Between two tries, whatever came of the first. */
const minWaitMs = 300_000;
/** Lists that promise no next one are asked for once a day. */
const maxWaitMs = 86_400_000;

/** In force until the first lists are there: a list of nobody, run out long ago, by which every certificate is refused. */
export const noListYet = `-----BEGIN X509 CRL-----
MIG7MGQCAQEwCgYIKoZIzj0EAwIwNTEzMDEGA1UEAwwqcmV2b2NhdGlvbiBsaXN0
cyBoYXZlIG5vdCBiZWVuIGZldGNoZWQgeWV0Fw0wMDAxMDEwMDAwMDBaFw0wMDAx
MDEwMDAwMDFaMAoGCCqGSM49BAMCA0cAMEQCICNUmcH5LTwts3RvUYM+vjqpxWGO
PBH3DYIsXtw3uXuPAiA5P7LWbf5mF8CNhSCTbSznjEiUJ/pglQHgW+hp77tsPw==
-----END X509 CRL-----
`;

/** The addresses, each once, of the lists that the CA certificates in a PEM text name. Only plain HTTP: lists are signed. */
export function listAddresses(pem: string): string[] {
  const addresses = certificatesIn(readPem(pem)).flatMap((certificate) => crlAddressesOf(certificate.raw));
  const wanted = addresses.filter((address) => URL.parse(address)?.protocol === 'http:');
  return [...new Set(wanted)].slice(0, maxAddresses);
}

export class RevocationDownloads {
  readonly #addresses: readonly string[];
  readonly #proxy: ProxySettings;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #onLists: (pem: string) => void;
  readonly #ended: AbortController = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** `onLists` hears of the lists of all addresses, PEM, whenever they have been fetched. */
  constructor(
    addresses: readonly string[],
    proxy: ProxySettings,
    log: Log,
    metrics: Metrics,
    onLists: (pem: string) => void,
  ) {
    this.#addresses = addresses;
    this.#proxy = proxy;
    this.#log = log;
    this.#metrics = metrics;
    this.#onLists = onLists;
  }

  start(): void {
    void this.#fetchAll();
  }

  close(): void {
    this.#ended.abort();
    clearTimeout(this.#timer);
  }

  async #fetchAll(): Promise<void> {
    let waitMs = minWaitMs;
    let address = '';
    try {
      const pems: string[] = [];
      for (address of this.#addresses) pems.push(await fetchLists(address, this.#proxy, this.#ended.signal));
      const pem = pems.join('');
      const read = readRevocationLists(pem);
      if (read.kind === 'invalid') throw new Error(read.problem);
      this.#metrics.series('headgate_crl_fetches_total', 'fetched').value++;
      this.#log.info({ addresses: this.#addresses, nextUpdate: dateOf(read.nextUpdateMs) }, 'revocation lists fetched');
      this.#onLists(pem);
      waitMs = waitFor(read.nextUpdateMs, Date.now());
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      this.#metrics.series('headgate_crl_fetches_total', 'failed').value++;
      this.#log.error(
        { address, reason: error instanceof Error ? error.message : String(error) },
        'revocation lists cannot be fetched, the old ones stay',
      );
    }
    if (this.#ended.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#fetchAll(), waitMs);
    this.#timer.unref();
  }
}

/**
 * How long lists are good enough, in milliseconds: for nine tenths of the time that they have left, so that one failure is not
 * the end of it; at least five minutes, at most a day.
 */
export function waitFor(nextUpdateMs: number | null, nowMs: number): number {
  const goodMs = nextUpdateMs === null ? maxWaitMs : (nextUpdateMs - nowMs) * 0.9;
  return Math.min(Math.max(goodMs, minWaitMs), maxWaitMs);
}

/** The lists at one address, PEM. Throws where there is none that can be used. */
async function fetchLists(address: string, proxy: ProxySettings, ended: AbortSignal): Promise<string> {
  const signal = AbortSignal.any([ended, AbortSignal.timeout(fetchTimeoutMs)]);
  const response = await ask(address, proxyFor(new URL(address), proxy), signal);
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > maxListBytes) throw new Error(`more than ${maxListBytes} bytes`);
    pieces.push(piece);
  }
  // Redirects among them: an address in a certificate is where to look, not where to be sent on from.
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
  const body = Buffer.concat(pieces);
  if (readList(body) !== null) return pemOfList(body);
  const read = readRevocationLists(body.toString('latin1'));
  if (read.kind === 'invalid' || read.pems.length === 0) throw new Error('what is there is no revocation list');
  return read.pems.join('');
}

function ask(address: string, proxy: string | null, signal: AbortSignal): Promise<IncomingMessage> {
  const agent = new Agent(proxy === null ? {} : { proxyEnv: { HTTP_PROXY: proxy } });
  return new Promise((answered, failed) => {
    request(address, { agent, signal }, answered).on('error', failed).end();
  });
}

function dateOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
