// What the router tells the pod about the client (Route semantics 5.5): lines of its own after the client's, or in their
// place, as the policy says. Everything that a connection decides is rendered once a connection.

import { Field } from '../../protocol/http-syntax.ts';
import type { RequestHead } from '../../protocol/request-head.ts';
import type { ForwardedPolicy, PathRule, Scheme } from '../../table/entries.ts';
import { inOnePiece } from '../one-piece.ts';
import { type ClientFacts, clientLines } from './client-certificate.ts';
import type { AnnouncedConnection } from './connection-ends.ts';

const allFields =
  (1 << Field.forwarded) |
  (1 << Field.xForwardedFor) |
  (1 << Field.xForwardedHost) |
  (1 << Field.xForwardedPort) |
  (1 << Field.xForwardedProto) |
  (1 << Field.xForwardedProtoVersion);

export class ForwardedHeaders {
  /** What is known of the client by its certificate; null where none was asked for. */
  readonly client: ClientFacts | null;
  /** Who tells of the client where a PROXY header does. */
  readonly sender: AnnouncedConnection;
  /** Address of the client. */
  readonly source: string;
  readonly #portLine: string;
  readonly #protoLine: string;
  readonly #versionLine: string;
  readonly #portAndProto: string;
  readonly #forNode: string;
  readonly #proto: string;
  readonly #forLine: string;
  #lastHost: string | null = null;
  #lastLines = '';

  /**
   * `client`: address without port. `port`: as clients see it. `version`: of HTTP, where ALPN chose one worth telling.
   * `certified`: what the client's certificate says.
   */
  constructor(
    client: string,
    scheme: Scheme,
    port: number,
    version: 'h2' | null,
    certified: ClientFacts | null,
    sender: AnnouncedConnection,
  ) {
    this.client = certified;
    this.source = client;
    this.sender = sender;
    this.#portLine = `X-Forwarded-Port: ${port}\r\n`;
    this.#protoLine = `X-Forwarded-Proto: ${scheme}\r\n`;
    this.#versionLine = version === null ? '' : `X-Forwarded-Proto-Version: ${version}\r\n`;
    this.#portAndProto = this.#portLine + this.#protoLine + this.#versionLine;
    // RFC 7239 6: an IPv6 node is bracketed and quoted.
    this.#forNode = client.includes(':') ? `"[${client}]"` : client;
    this.#proto = scheme;
    this.#forLine = `X-Forwarded-For: ${client}\r\n`;
  }

  /** Fields of the client's that a rule takes out, as a mask. */
  dropMask(rule: PathRule): number {
    const forged = this.client === null ? 0 : 1 << Field.forged;
    return rule.forwarded === 'replace' ? allFields | forged : forged;
  }

  /** The lines that a rule puts in. */
  lines(rule: PathRule, head: RequestHead): string {
    const lines = this.#forwardedLines(rule.forwarded, head);
    return this.client === null ? lines : lines + clientLines(rule, this.client);
  }

  #forwardedLines(policy: ForwardedPolicy, head: RequestHead): string {
    if (policy === 'never') return '';
    const host = head.authority;
    // Most connections ask for one host all their life.
    if (policy !== 'if-none' && host === this.#lastHost) return this.#lastLines;
    const hostLine = host === '' ? '' : `X-Forwarded-Host: ${host}\r\n`;
    const forwardedHost = host === '' ? '' : `;host=${host}`;
    const forwarded = `Forwarded: for=${this.#forNode}${forwardedHost};proto=${this.#proto}\r\n`;
    if (policy !== 'if-none') {
      this.#lastHost = host;
      this.#lastLines = inOnePiece(hostLine + this.#portAndProto + forwarded + this.#forLine);
      return this.#lastLines;
    }
    return (
      (head.has(Field.xForwardedHost) ? '' : hostLine) +
      (head.has(Field.xForwardedPort) ? '' : this.#portLine) +
      (head.has(Field.xForwardedProto) ? '' : this.#protoLine) +
      (head.has(Field.xForwardedProtoVersion) ? '' : this.#versionLine) +
      (head.has(Field.forwarded) ? '' : forwarded) +
      (head.has(Field.xForwardedFor) ? '' : this.#forLine)
    );
  }
}
