// The admin port (1936): health, metrics, what the table holds and why. It runs in the controller process: the workers'
// event loops belong to traffic.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { formatRevision, type Revision } from '../table/delta.ts';
import type { RouteKey } from '../table/entries.ts';
import type { RouteTable } from '../table/route-table.ts';
import { AccessControl, type AccessRules, type Subresource } from './access.ts';
import { type ExplainSettings, explain } from './explain.ts';
import { Health, type HealthSubject } from './health.ts';
import { AdminListener } from './listener.ts';
import { answer, answerJson, streamJson } from './replies.ts';
import { type ScrapeSettings, type ScrapeSubject, Scrapes } from './scrapes.ts';
import type { AdminTlsOptions } from './tls-settings.ts';

/** What the admin port tells of a Route. */
export type RouteReport = {
  readonly route: RouteKey;
  readonly host: string;
  readonly path: string;
  readonly verdict: 'admitted' | 'rejected' | 'pending';
  readonly reason: string;
  readonly message: string;
  readonly warnings: readonly string[];
  /** Names of its Services that are idled: without pods until somebody asks for them. */
  readonly idled: readonly string[];
  readonly revision: string | null;
};

/** What the admin port asks of the rest. */
export type AdminSubject = HealthSubject &
  Omit<ScrapeSubject, 'workerPids'> & {
    readonly settings: ExplainSettings;
    readonly routes: () => Iterable<RouteReport>;
    /** What the owner of a Route should look at although it is admitted. */
    readonly warningsOf: (route: RouteKey) => readonly string[];
    /** Whether every worker serves the newest table. */
    readonly acknowledged: () => boolean;
  };

export class AdminServer {
  readonly #subject: AdminSubject;
  readonly #health: Health;
  readonly #access: AccessControl;
  readonly #scrapes: Scrapes;
  readonly #listener: AdminListener;

  constructor(subject: AdminSubject, metrics: ScrapeSettings, access: AccessRules) {
    this.#subject = subject;
    this.#health = new Health(subject);
    this.#access = new AccessControl(access);
    const workerPids = (): number[] => subject.processes().workers.map(({ pid }) => pid);
    this.#scrapes = new Scrapes({ ...subject, workerPids }, metrics);
    this.#listener = new AdminListener((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else answer(response, 500, `${error instanceof Error ? error.message : String(error)}\n`);
      });
    });
  }

  /** Serves on an inherited descriptor. */
  listen(fd: number): Promise<void> {
    return this.#listener.listen(fd);
  }

  /** Speaks TLS too from now on, or with another certificate than before. */
  secure(options: AdminTlsOptions): void {
    this.#listener.secure(options);
  }

  close(): void {
    this.#listener.close();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = URL.parse(request.url ?? '/', 'http://admin');
    if (url === null) {
      answer(response, 400, 'no such URL can be\n');
      return;
    }
    const protectedAs = subresourceOf(url.pathname);
    if (protectedAs !== null && !(await this.#admits(protectedAs, request, response))) return;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      answer(response, 405, 'only GET and HEAD\n');
      return;
    }
    if (protectedAs === 'debug') return await this.#debug(url, response);
    if (protectedAs === 'metrics') return await this.#scrapes.answer(response);
    const verbosity = url.searchParams.has('verbose') ? 'verbose' : 'brief';
    const health = await this.#health.ask(url.pathname, verbosity);
    if (health === null) answer(response, 404, 'not found\n');
    else answer(response, health.ok ? 200 : 500, health.text);
  }

  /** Whether the request may be answered; if not, it has been. */
  async #admits(subresource: Subresource, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { method = '', headers, socket } = request;
    // The Host check keeps web pages out that let a browser on this machine ask (DNS rebinding).
    const isLocal = isLoopback(socket.remoteAddress ?? '') && isLocalName(headers.host ?? '');
    const access = await this.#access.admit({ method, subresource, authorization: headers.authorization, isLocal });
    if (access.kind === 'granted') return true;
    if (access.challenges.length > 0) response.setHeader('www-authenticate', [...access.challenges]);
    answer(response, access.status, `${access.reason}\n`);
    return false;
  }

  async #debug(url: URL, response: ServerResponse): Promise<void> {
    const subject = this.#subject;
    switch (url.pathname) {
      case '/debug/revision': {
        const revision: Revision = subject.table().revision;
        answerJson(response, 200, { revision: formatRevision(revision), acknowledged: subject.acknowledged() });
        return;
      }
      case '/debug/processes':
        answerJson(response, 200, subject.processes());
        return;
      case '/debug/routes':
        await streamJson(response, subject.routes());
        return;
      case '/debug/table':
        await streamJson(response, tableEntries(subject.table()));
        return;
      case '/debug/explain': {
        const headers = url.searchParams.getAll('header').map((text) => {
          const colon = text.indexOf(':');
          return { name: text.slice(0, colon).trim(), value: text.slice(colon + 1).trim() };
        });
        const query = { url: url.searchParams.get('url') ?? '', headers, from: url.searchParams.get('from') };
        const explanation = explain(subject.table(), query, subject.settings, subject.warningsOf);
        answerJson(response, 'problem' in explanation ? 400 : 200, explanation);
        return;
      }
      default:
        answer(response, 404, 'not found\n');
    }
  }
}

/** As what a path is protected; null where it is for everybody. */
function subresourceOf(path: string): Subresource | null {
  if (path === '/metrics') return 'metrics';
  return path.startsWith('/debug/') ? 'debug' : null;
}

/** The table as people may see it: keys of certificates are never shown. */
function* tableEntries(table: RouteTable): Generator<unknown> {
  yield { kind: 'revision', revision: formatRevision(table.revision) };
  for (const entry of table.hosts.values()) yield { kind: 'host', ...entry };
  for (const entry of table.backends.values()) yield { kind: 'backend', ...entry };
  for (const { id, key } of table.certificates.values()) {
    yield { kind: 'certificate', id, holds: key === null ? 'authority' : 'chain and key' };
  }
}

function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain === '::1' || plain.startsWith('127.');
}

function isLocalName(hostHeader: string): boolean {
  const name = hostHeader.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}
