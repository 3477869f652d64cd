// curl, h2load, nginx and openssl around the real command: what people try a router with.

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { routeYaml } from '../support/pods.ts';
import { BodyPod, type BodyPodKind, digestOf, pieces } from './body-pod.ts';
import { edgeYaml, PeerRouter, podsYaml, reencryptYaml } from './peer-router.ts';
import { findTool, NginxPod, run, TemporaryFolder } from './tools.ts';

const curl = findTool('curl');
const h2load = findTool('h2load');
const nginx = findTool('nginx');
const openssl = findTool('openssl');

/** Of an upload and of a download. */
const bodyBytes = 50_000_000;
const nginxBody = 'hello from nginx';

const kinds: readonly BodyPodKind[] = ['h1', 'h2c', 'tls', 'h2'];
const folder = new TemporaryFolder();
const pods: Partial<Record<BodyPodKind, BodyPod>> = {};
let nginxPod: NginxPod | null = null;
let peer: PeerRouter;
let upload: string;

beforeAll(async () => {
  const tls = makeCertificate({ names: ['pod.test'] });
  for (const kind of kinds) pods[kind] = await BodyPod.start(kind, tls);
  const port = (kind: BodyPodKind): number => pods[kind]?.port ?? 0;
  const yaml = [
    podsYaml('h1', [port('h1')]),
    podsYaml('h2c', [port('h2c')], 'h2c'),
    podsYaml('tls', [port('tls')]),
    podsYaml('h2', [port('h2')]),
    routeYaml('none-h1', 'none-h1.test', 'h1'),
    routeYaml('none-h2c', 'none-h2c.test', 'h2c'),
    edgeYaml('edge-h1', 'edge-h1.test', 'h1'),
    edgeYaml('edge-h2c', 'edge-h2c.test', 'h2c'),
    reencryptYaml('reencrypt-tls', 'reencrypt-tls.test', 'tls'),
    reencryptYaml('reencrypt-h2', 'reencrypt-h2.test', 'h2'),
  ];
  if (nginx !== null) {
    nginxPod = await NginxPod.start(nginx, nginxBody, tls);
    yaml.push(
      podsYaml('nginx-plain', [nginxPod.ports.plain]),
      podsYaml('nginx-h2c', [nginxPod.ports.h2c], 'h2c'),
      podsYaml('nginx-tls', [nginxPod.ports.tls]),
      podsYaml('nginx-h2', [nginxPod.ports.h2]),
      edgeYaml('nginx-plain', 'nginx-plain.test', 'nginx-plain'),
      edgeYaml('nginx-h2c', 'nginx-h2c.test', 'nginx-h2c'),
      reencryptYaml('nginx-tls', 'nginx-tls.test', 'nginx-tls'),
      reencryptYaml('nginx-h2', 'nginx-h2.test', 'nginx-h2'),
    );
  }
  peer = await PeerRouter.start(yaml.join(''), ['--workers', '2']);
  upload = folder.write('upload', Buffer.concat([...pieces(bodyBytes)]));
});

afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  for (const pod of Object.values(pods)) await pod[Symbol.asyncDispose]();
  await nginxPod?.[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const isPlain = (host: string): boolean => host.startsWith('none-');

/** Where a Route is served, and how to get there, for curl. */
function target(host: string, path: string): string[] {
  return isPlain(host)
    ? ['--connect-to', `${host}:80:127.0.0.1:${peer.httpPort}`, `http://${host}${path}`]
    : ['--connect-to', `${host}:443:127.0.0.1:${peer.httpsPort}`, `https://${host}${path}`];
}

/** curl's own view: status and HTTP version come on standard error. */
async function ask(
  host: string,
  path: string,
  args: readonly string[],
): Promise<{ readonly told: string; readonly body: Buffer }> {
  const common = ['--silent', '--show-error', '--insecure', '--write-out', '%{stderr}%{http_code} %{http_version}'];
  const { stdout, stderr } = await run(curl ?? 'curl', [...common, ...args, ...target(host, path)]);
  return { told: stderr, body: stdout };
}

describe.skipIf(curl === null)('curl', () => {
  const everywhere = ['none-h1', 'none-h2c', 'edge-h1', 'edge-h2c', 'reencrypt-tls', 'reencrypt-h2'];
  const cases = everywhere.flatMap((name) => {
    const host = `${name}.test`;
    return isPlain(host)
      ? [
          [host, '--http1.1', '1.1'],
          // Asks for an upgrade to HTTP/2, which browsers never did and RFC 9113 has taken back: it is not taken up.
          [host, '--http2', '1.1'],
          [host, '--http2-prior-knowledge', '2'],
        ]
      : [
          [host, '--http1.1', '1.1'],
          [host, '--http2', '2'],
        ];
  }) as [host: string, flag: string, version: string][];

  describe.each(cases)('%s %s', (host, flag, version) => {
    test('50 MB up', async () => {
      const { told, body } = await ask(host, '/upload/', [flag, '--upload-file', upload]);
      expect(told).toBe(`200 ${version}`);
      expect(body.toString()).toBe(digestOf(bodyBytes));
    });

    test('50 MB up, of a length that is not known before', async () => {
      const { told, body } = await ask(host, '/upload/', [flag, '-H', 'Transfer-Encoding: chunked', '-T', upload]);
      expect(told).toBe(`200 ${version}`);
      expect(body.toString()).toBe(digestOf(bodyBytes));
    });

    test('50 MB down', async () => {
      const { told, body } = await ask(host, `/download/${bodyBytes}`, [flag]);
      expect(told).toBe(`200 ${version}`);
      expect(createHash('sha256').update(body).digest('hex')).toBe(digestOf(bodyBytes));
    });

    test('HEAD, and answers without a body', async () => {
      expect(await ask(host, '/download/1000', [flag, '--head', '--output', '/dev/null'])).toMatchObject({
        told: `200 ${version}`,
      });
      const { told, body } = await ask(host, '/download/0', [flag]);
      expect([told, body.length]).toEqual([`200 ${version}`, 0]);
    });
  });

  test('no Route and no name: HTTP/1.1, and the reason', async () => {
    const to = `127.0.0.1:${peer.httpsPort}`;
    const args = ['--silent', '--insecure', '--http2', '--write-out', '%{stderr}%{http_code} %{http_version}'];
    const { stdout, stderr } = await run(curl ?? 'curl', [...args, `https://${to}/`]);
    expect(stderr).toBe('503 1.1');
    expect(stdout.toString()).toContain('no-route');
  });
});

describe.skipIf(curl === null || nginx === null)('nginx as a pod', () => {
  test.each(['nginx-plain', 'nginx-h2c', 'nginx-tls', 'nginx-h2'])('%s', async (name) => {
    for (const flag of ['--http1.1', '--http2']) {
      const { told, body } = await ask(`${name}.test`, '/', [flag]);
      expect(told).toBe(flag === '--http2' ? '200 2' : '200 1.1');
      expect(body.toString()).toBe(nginxBody);
      // nginx answers without having read all of it, or at all.
      const posted = await ask(`${name}.test`, '/', [flag, '--data-binary', `@${upload}`]);
      expect(posted.told).toMatch(/^(200|413) /);
    }
  });
});

type Load = { readonly requests: number; readonly clients: number; readonly streams: number; readonly extra: string[] };

describe.skipIf(h2load === null)('h2load', () => {
  const hosts = ['none-h1', 'none-h2c', 'edge-h1', 'edge-h2c', 'reencrypt-tls', 'reencrypt-h2'];
  const nginxHosts = nginx === null ? [] : ['nginx-plain', 'nginx-h2c', 'nginx-tls', 'nginx-h2'];

  async function load(host: string, path: string, { requests, clients, streams, extra }: Load): Promise<string> {
    const to = isPlain(host) ? `127.0.0.1:${peer.httpPort}` : `127.0.0.1:${peer.httpsPort}`;
    const uri = `${isPlain(host) ? 'http' : 'https'}://${host}${path}`;
    const counts = ['-n', String(requests), '-c', String(clients), '-m', String(streams)];
    const { stdout } = await run(h2load ?? 'h2load', [...counts, ...extra, `--connect-to=${to}`, uri]);
    const text = stdout.toString();
    return `${/^requests: .*$/m.exec(text)?.[0]}; ${/^status codes: .*$/m.exec(text)?.[0]}`;
  }

  const all = (requests: number): string =>
    `requests: ${requests} total, ${requests} started, ${requests} done, ${requests} succeeded, 0 failed, 0 errored, 0 timeout; ` +
    `status codes: ${requests} 2xx, 0 3xx, 0 4xx, 0 5xx`;

  test.each([...hosts, ...nginxHosts])('%s: 5,000 requests, 100 at once on each connection', async (name) => {
    const counts = await load(`${name}.test`, '/', { requests: 5_000, clients: 5, streams: 100, extra: [] });
    expect(counts).toBe(all(5_000));
  });

  test.each(hosts)('%s: 1,000 answers of 100 kB', async (name) => {
    const by = { requests: 1_000, clients: 4, streams: 32, extra: [] };
    expect(await load(`${name}.test`, '/download/100000', by)).toBe(all(1_000));
  });

  test.each(hosts)('%s: 1,000 requests with a body of 20 kB', async (name) => {
    const data = folder.write('data', Buffer.alloc(20_000, 'x'));
    const by = { requests: 1_000, clients: 4, streams: 32, extra: ['-d', data] };
    expect(await load(`${name}.test`, '/upload/', by)).toBe(all(1_000));
  });

  test.each(['edge-h1', 'edge-h2c'])('%s: windows of 64 kB and no compression table', async (name) => {
    const extra = ['-w', '16', '-W', '16', '--header-table-size=0', '--encoder-header-table-size=0'];
    const by = { requests: 500, clients: 4, streams: 50, extra };
    expect(await load(`${name}.test`, '/download/100000', by)).toBe(all(500));
  });
});

describe.skipIf(openssl === null)('openssl s_client', () => {
  const agreed = async (servername: string, alpn: string): Promise<string | undefined> => {
    const args = ['s_client', '-connect', `127.0.0.1:${peer.httpsPort}`, '-servername', servername, '-alpn', alpn];
    const { stdout } = await run(openssl ?? 'openssl', args);
    return /^(?:ALPN protocol: (.*)|No ALPN negotiated)$/m.exec(stdout.toString())?.[1];
  };

  test.each([
    ['edge-h1.test', 'h2', 'h2'],
    ['edge-h1.test', 'http/1.1,h2', 'h2'],
    ['edge-h1.test', 'http/1.1', 'http/1.1'],
    ['edge-h1.test', 'spdy/3', undefined],
    ['nobody.test', 'h2,http/1.1', 'http/1.1'],
  ])('%s offers %s', async (servername, offered, expected) => {
    expect(await agreed(servername, offered)).toBe(expected);
  });
});
