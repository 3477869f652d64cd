// The admin port (1936): health, metrics, what the table holds and why. It runs in the controller process: the workers'
// event loops belong to traffic.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { ProcessState } from '../replication/control.ts';
import { formatRevision, type Revision } from '../table/delta.ts';
import type { RouteKey } from '../table/entries.ts';
import type { RouteTable } from '../table/route-table.ts';
import type { SeriesSnapshot } from '../telemetry/metrics.ts';
import { explain } from './explain.ts';
import { exposition } from './exposition.ts';

/** What the admin port tells of a Route. */
export type RouteReport = {
  readonly route: RouteKey;
  readonly host: string;
  readonly path: string;
  readonly verdict: 'admitted' | 'rejected' | 'pending';
  readonly reason: string;
  readonly message: string;
  readonly warnings: readonly string[];
  readonly revision: string | null;
};

/** What the admin port asks of the rest. */
export type AdminSubject = {
  /** Where redirects lead to. */
  readonly publicHttpsPort: number;
  readonly table: () => RouteTable;
  readonly routes: () => Iterable<RouteReport>;
  /** What the owner of a Route should look at although it is admitted. */
  readonly warningsOf: (route: RouteKey) => readonly string[];
  readonly processes: () => ProcessState;
  readonly synced: () => boolean;
  /** Whether every worker serves the newest table. */
  readonly acknowledged: () => boolean;
  readonly servingWorkers: () => number;
  /** How old the view of each kind of object is; empty where objects do not come from an API server. */
  readonly views: () => readonly { readonly kind: string; readonly synced: boolean; readonly ageMs: number }[];
  /** The metrics of all processes, merged. */
  readonly metrics: () => Promise<readonly SeriesSnapshot[]>;
};

/** Entries rendered in one turn of the event loop. */
const entriesPerTurn = 200;
const maxConnections = 256;

type Check = { readonly name: string; readonly ok: boolean; readonly detail: string };

export class AdminServer {
  readonly #subject: AdminSubject;
  readonly #server: Server;
  /** Once all workers have served, one is enough: readiness must not flap while a worker is restarted. */
  #servedByAll = false;

  constructor(subject: AdminSubject) {
    this.#subject = subject;
    this.#server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, (request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else answer(response, 500, `${error instanceof Error ? error.message : String(error)}\n`);
      });
    });
    this.#server.maxConnections = maxConnections;
  }

  /** Serves on an inherited descriptor. */
  listen(fd: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ fd }, resolve);
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      answer(response, 405, 'only GET and HEAD\n');
      return;
    }
    const url = new URL(request.url ?? '/', 'http://admin');
    switch (url.pathname) {
      case '/healthz':
      case '/livez':
        answer(response, 200, 'ok\n');
        return;
      case '/healthz/ready':
      case '/readyz':
        this.#ready(response, url.searchParams.has('verbose'));
        return;
      case '/metrics': {
        const text = exposition(await this.#subject.metrics());
        response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
        answer(response, 200, text);
        return;
      }
    }
    if (!url.pathname.startsWith('/debug/')) {
      answer(response, 404, 'not found\n');
      return;
    }
    // There is no authentication yet, so only who is on this machine may look; the Host check keeps web pages out that
    // let a browser on this machine ask (DNS rebinding).
    if (!isLoopback(request.socket.remoteAddress ?? '') || !isLocalName(request.headers.host ?? '')) {
      answer(response, 403, '/debug is answered on loopback only\n');
      return;
    }
    await this.#debug(url, response);
  }

  async #debug(url: URL, response: ServerResponse): Promise<void> {
    const subject = this.#subject;
    switch (url.pathname) {
      case '/debug/revision': {
        const revision: Revision = subject.table().revision;
        json(response, 200, { revision: formatRevision(revision), acknowledged: subject.acknowledged() });
        return;
      }
      case '/debug/processes':
        json(response, 200, subject.processes());
        return;
      case '/debug/routes':
        await stream(response, subject.routes());
        return;
      case '/debug/table':
        await stream(response, tableEntries(subject.table()));
        return;
      case '/debug/explain': {
        const headers = url.searchParams.getAll('header').map((text) => {
          const colon = text.indexOf(':');
          return { name: text.slice(0, colon).trim(), value: text.slice(colon + 1).trim() };
        });
        const query = { url: url.searchParams.get('url') ?? '', headers, from: url.searchParams.get('from') };
        const explanation = explain(subject.table(), query, subject.publicHttpsPort, subject.warningsOf);
        json(response, 'problem' in explanation ? 400 : 200, explanation);
        return;
      }
      default:
        answer(response, 404, 'not found\n');
    }
  }

  #ready(response: ServerResponse, verbose: boolean): void {
    const subject = this.#subject;
    const { draining, wanted } = subject.processes();
    const serving = subject.servingWorkers();
    if (serving >= wanted) this.#servedByAll = true;
    const checks: Check[] = [
      {
        name: 'has-synced',
        ok: subject.synced(),
        detail: subject.synced() ? 'everything has been read once' : 'not everything has been read yet',
      },
      { name: 'process-running', ok: !draining, detail: draining ? 'shutting down' : 'not shutting down' },
      {
        name: 'workers-serving',
        ok: this.#servedByAll ? serving > 0 : serving >= wanted,
        detail: `${serving} of ${wanted} workers serve the table`,
      },
    ];
    // How old a view is never makes the router unready: what it has it serves, and serves better than nobody.
    for (const { kind, synced, ageMs } of subject.views()) {
      const seconds = Math.round(ageMs / 1000);
      const detail = synced
        ? `the API server was last heard ${seconds} s ago`
        : `the first list is not complete; nothing was heard for ${seconds} s`;
      checks.push({ name: `view-${kind}`, ok: synced || subject.synced(), detail });
    }
    const failed = checks.filter((check) => !check.ok);
    const lines = checks.map(
      ({ name, ok, detail }) => `${ok ? '[+]' : '[-]'}${name} ${ok ? 'ok' : 'failed'}: ${detail}\n`,
    );
    const ok = failed.length === 0;
    answer(response, ok ? 200 : 500, ok && !verbose ? 'ok\n' : lines.join(''));
  }
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

/** A JSON array, a piece at a time: ten thousand Routes must not stall whoever watches the cluster. */
async function stream(response: ServerResponse, entries: Iterable<unknown>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  let text = '[';
  let count = 0;
  for (const entry of entries) {
    text += `${count === 0 ? '' : ','}\n${JSON.stringify(entry)}`;
    if (++count % entriesPerTurn === 0) {
      const flushed = response.write(text);
      text = '';
      if (!flushed) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
      else await new Promise((resolve) => setImmediate(resolve));
      if (response.destroyed) return;
    }
  }
  response.end(`${text}\n]\n`);
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  answer(response, status, `${JSON.stringify(value, null, 2)}\n`);
}

function answer(response: ServerResponse, status: number, text: string): void {
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.writeHead(status, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-length': Buffer.byteLength(text),
  });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

function isLoopback(address: string): boolean {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain === '::1' || plain.startsWith('127.');
}

function isLocalName(hostHeader: string): boolean {
  const name = hostHeader.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}
