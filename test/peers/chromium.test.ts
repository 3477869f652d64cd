// Chromium before the real command: a page of three hosts with everything that pages do, over HTTP/2.

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { makeCertificate } from '../support/certificates.ts';
import { edgeYaml, PeerRouter, podsYaml } from './peer-router.ts';
import { findTool, TemporaryFolder } from './tools.ts';

const chromium = findTool('chromium') ?? findTool('chromium-browser') ?? findTool('google-chrome');

const hosts = ['one.test', 'two.test', 'other.test'] as const;
const imagesPerHost = 20;
const bodyBytes = 300_000;
const events = 5;

/** What the page found out. */
type Findings = {
  readonly images: number;
  readonly bodies: readonly string[];
  readonly events: readonly string[];
  readonly socket: string;
  readonly problems: readonly string[];
};

/** Runs in the browser. It tells what it found by a last request. */
const page = `<!doctype html><meta charset="utf-8"><title>peers</title><body><script type="module">
const hosts = ${JSON.stringify(hosts)};
const findings = { images: 0, bodies: [], events: [], socket: '', problems: [] };
const attempt = async (name, what) => {
  try { await what(); } catch (problem) { findings.problems.push(name + ': ' + problem); }
};
const image = (host, i) => new Promise((done, failed) => {
  const element = new Image();
  element.onload = () => { findings.images++; done(); };
  element.onerror = () => failed(new Error('no image ' + i + ' of ' + host));
  element.src = 'https://' + host + '/image/' + i;
});
const post = async (host) => {
  const body = new Uint8Array(${bodyBytes}).fill(host.length);
  const answer = await fetch('https://' + host + '/post', { method: 'POST', body });
  findings.bodies.push(host + ' ' + answer.status + ' ' + await answer.text());
};
const listen = () => new Promise((done, failed) => {
  const source = new EventSource('https://one.test/events');
  source.onmessage = ({ data }) => {
    findings.events.push(data);
    if (findings.events.length === ${events}) { source.close(); done(); }
  };
  source.onerror = () => failed(new Error('events broke off'));
});
const talk = () => new Promise((done, failed) => {
  const socket = new WebSocket('wss://one.test/socket');
  socket.onopen = () => socket.send('x'.repeat(100000));
  socket.onmessage = ({ data }) => { findings.socket = data.length + ' ' + data[0]; socket.close(4000); };
  socket.onclose = ({ code }) => code === 4000 ? done() : failed(new Error('closed with ' + code));
});
// One host after the other first: a browser looks for a connection that it can share when it has to open one.
for (const host of hosts) await attempt('first', () => image(host, 'first'));
await Promise.all([
  ...hosts.flatMap((host) => Array.from({ length: ${imagesPerHost} }, (_, i) => attempt('image', () => image(host, i)))),
  ...hosts.map((host) => attempt('post', () => post(host))),
  attempt('events', listen),
  attempt('socket', talk),
]);
await fetch('/findings', { method: 'POST', body: JSON.stringify(findings) });
</script>`;

const image = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';

/** A pod that serves the page and everything on it. */
class PagePod {
  readonly server: Server = createServer((request, response) => this.#answer(request, response));
  /** By which protocol the client was said to have asked: what for, and what the router told. */
  readonly asked: { readonly what: string; readonly host: string; readonly version: string }[] = [];
  readonly findings: Promise<Findings>;
  #tell: (findings: Findings) => void = () => {};

  constructor() {
    this.findings = new Promise((done) => {
      this.#tell = done;
    });
    const sockets = new WebSocketServer({ server: this.server });
    sockets.on('connection', (socket, request) => {
      this.#note(request);
      socket.on('message', (message) => socket.send(message.toString()));
    });
  }

  #note(request: IncomingMessage): string {
    const [, what = ''] = (request.url ?? '').split('/');
    const version = String(request.headers['x-forwarded-proto-version'] ?? '');
    this.asked.push({ what, host: request.headers.host ?? '', version });
    return what;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('cache-control', 'no-store');
    const what = this.#note(request);
    switch (what) {
      case '':
        response.setHeader('content-type', 'text/html').end(page);
        return;
      case 'image':
        response.setHeader('content-type', 'image/svg+xml').end(image);
        return;
      case 'events':
        response.setHeader('content-type', 'text/event-stream');
        for (let i = 0; i < events; i++) setTimeout(() => response.write(`data: event ${i}\n\n`), i * 20);
        return;
      case 'post':
      case 'findings': {
        const pieces: Buffer[] = [];
        request.on('data', (piece: Buffer) => pieces.push(piece));
        request.on('end', () => {
          const body = Buffer.concat(pieces);
          response.end(`${body.length}`);
          if (what === 'findings') this.#tell(JSON.parse(body.toString()));
        });
        return;
      }
      default:
        response.statusCode = 404;
        response.end();
    }
  }
}

describe.skipIf(chromium === null)('chromium', () => {
  const pod = new PagePod();
  const folder = new TemporaryFolder();
  let peer: PeerRouter;
  let browser: ChildProcess;
  let findings: Findings;

  beforeAll(async () => {
    pod.server.listen(0, '127.0.0.1');
    await once(pod.server, 'listening');
    // The first certificate covers the third host, too, which has one of its own: the browser may take the first connection
    // for it, and is to be told that it may not.
    const shared = makeCertificate({ names: [...hosts] });
    const own = makeCertificate({ names: ['other.test'] });
    peer = await PeerRouter.start(
      podsYaml('page', [(pod.server.address() as AddressInfo).port]) +
        edgeYaml('one', 'one.test', 'page', shared) +
        edgeYaml('two', 'two.test', 'page', shared) +
        edgeYaml('other', 'other.test', 'page', own),
    );
    const pins = [shared, own].map(({ certificate }) =>
      createHash('sha256')
        .update(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }))
        .digest('base64'),
    );
    browser = spawn(
      chromium ?? 'chromium',
      [
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--no-proxy-server',
        `--user-data-dir=${folder.path}`,
        `--host-resolver-rules=MAP *.test 127.0.0.1:${peer.httpsPort}, MAP * ~NOTFOUND`,
        `--ignore-certificate-errors-spki-list=${pins.join(',')}`,
        '--remote-debugging-port=0',
        'https://one.test/',
      ],
      { stdio: 'ignore' },
    );
    const ended = once(browser, 'exit').then(([code]) => {
      throw new Error(`the browser ended: ${code}`);
    });
    ended.catch(() => {});
    findings = await Promise.race([pod.findings, ended]);
  });

  afterAll(async () => {
    const gone = once(browser, 'exit');
    browser.kill('SIGKILL');
    await gone;
    await peer[Symbol.asyncDispose]();
    pod.server.closeAllConnections();
    pod.server.close();
    folder[Symbol.dispose]();
  });

  test('nothing failed', () => {
    expect(findings.problems).toEqual([]);
    expect(findings.images).toBe(hosts.length * (imagesPerHost + 1));
  });

  test('bodies came whole, to every host', () => {
    expect([...findings.bodies].sort()).toEqual(hosts.map((host) => `${host} 200 ${bodyBytes}`).sort());
  });

  test('events came one by one', () => {
    expect(findings.events).toEqual(Array.from({ length: events }, (_, i) => `event ${i}`));
  });

  test('a WebSocket echoes', () => {
    expect(findings.socket).toBe('100000 x');
  });

  test('all of it, the WebSocket too, went over HTTP/2', () => {
    expect(pod.asked.filter(({ version }) => version !== 'h2')).toEqual([]);
    expect(pod.asked.some(({ what }) => what === 'socket')).toBe(true);
  });

  test('two hosts of one certificate shared a connection; the third was sent to one of its own', async () => {
    // A browser that does not know yet that a host speaks HTTP/2 opens several connections at once.
    expect(await peer.router.metric('headgate_tls_handshakes_total')).toBeLessThan(hosts.length * imagesPerHost);
    const misdirected = await peer.router.metric('headgate_answers_total', 'reason="misdirected"');
    expect(misdirected).toBeGreaterThan(0);
    expect(misdirected).toBeLessThanOrEqual(imagesPerHost + 2);
  });
});
