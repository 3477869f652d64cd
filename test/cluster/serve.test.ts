// The command as a user runs it: its errors, its ports, files that change under it, what it tells.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { eventually, ManifestFolder, RunningRouter, runCommand } from '../support/router.ts';
import { SyslogReceiver } from '../support/syslog-receiver.ts';

test.each([['help'], ['version'], ['serve', '--help']])(
  '%s %s to a reader that has gone: exit code 0, and no complaint',
  async (...args) => {
    const child = spawn(process.execPath, ['src/main.ts', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const code = await new Promise((done) => {
      child.once('close', done);
    });
    expect(stderr).toBe('');
    expect(code).toBe(0);
  },
);

test('the demo to a reader that has gone serves', async () => {
  const [adminPort] = await freePorts(1);
  const args = ['src/main.ts', 'demo', '--http-port', '0', '--https-port', '0', '--admin-port', `${adminPort}`];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.destroy();
  const exited = new Promise((done) => {
    child.once('exit', done);
  });
  await eventually(
    () => fetch(`http://127.0.0.1:${adminPort}/healthz/ready`).catch(() => ({ status: 0 })),
    ({ status }) => status === 200,
  );
  // The supervisor, which prints the page, takes part in a scrape.
  expect((await fetch(`http://127.0.0.1:${adminPort}/metrics`)).status).toBe(200);
  child.kill('SIGTERM');
  expect(await exited).toBe(0);
});

describe('a start that cannot succeed', () => {
  test('every configuration error is told at once, by the name that the user typed; exit code 2', async () => {
    const { code, stdout, stderr } = await runCommand(
      ['serve', '--source', 'files', '--manifests', '/nonexistent', '--http-port', 'abc', '--wrokers', '2'],
      { ROUTER_DEFAULT_CONNECT_TIMEOUT: 'soon', ROUTER_SYSLOG_FORMAT: '%zz' },
    );
    expect(code).toBe(2);
    expect(stdout).toBe('');
    for (const name of [
      '--manifests',
      '--http-port',
      '--wrokers',
      '--workers',
      'ROUTER_DEFAULT_CONNECT_TIMEOUT',
      'ROUTER_SYSLOG_FORMAT',
    ]) {
      expect(stderr).toContain(name);
    }
  });

  test.each(['--http-port', '--https-port', '--admin-port'])(
    '%s is in use: exit code 1, and nothing else happens',
    async (flag) => {
      using folder = new ManifestFolder();
      const holder = createServer();
      await new Promise<void>((listening) => {
        holder.listen(0, '127.0.0.1', listening);
      });
      const address = holder.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const ports = { '--http-port': '0', '--https-port': '0', '--admin-port': '0', [flag]: String(port) };
      const { code, stdout, stderr } = await runCommand([
        'serve',
        ...['--source', 'files', '--manifests', folder.path, '--bind', '127.0.0.1'],
        ...Object.entries(ports).flat(),
      ]);
      holder.close();
      expect(code).toBe(1);
      expect(stdout).toBe('');
      expect(stderr).toBe(`headgate: ${flag}: cannot bind 127.0.0.1:${port}: the port is in use\n`);
    },
  );

  test('there is no place for the socket of the processes: exit code 1, one clear line', async () => {
    using folder = new ManifestFolder();
    const ports = ['--http-port', '--https-port', '--admin-port'].flatMap((flag) => [flag, '0']);
    const { code, stdout, stderr } = await runCommand(['serve', ...folder.sourceArgs, ...ports], {
      TMPDIR: '/nonexistent',
    });
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toBe('headgate: --run-dir: cannot make a folder in /nonexistent: ENOENT\n');
  });

  test.each([
    ['is no YAML', 'users: [{ user: { token: sesame } }\n', 'cannot be read: '],
    ['names no cluster', 'apiVersion: v1\nkind: Config\n', 'has no current context with a cluster and a user'],
  ])('the kubeconfig %s: exit code 1, one clear line, and no line of the file', async (_title, text, message) => {
    using folder = new ManifestFolder();
    folder.write('kubeconfig', text);
    const path = `${folder.path}/kubeconfig`;
    const ports = ['--http-port', '0', '--https-port', '0', '--admin-port', '0'];
    const { code, stdout, stderr } = await runCommand(['serve', '--config', path, '--bind', '127.0.0.1', ...ports]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^headgate: the start failed: .*\n$/);
    expect(stderr).toContain(`the kubeconfig ${path} ${message}`);
    expect(stdout + stderr).not.toContain('sesame');
  });

  test.each([
    [['nonsense'], 2, 'no such command: nonsense'],
    [[], 2, 'usage: headgate COMMAND'],
    [['explain'], 2, 'usage: headgate explain URL'],
    [['explain'], 2, 'headgate explain: one URL is asked for, not 0\n'],
    [['explain', 'http://a.test/', 'http://b.test/'], 2, 'one URL is asked for, not 2\n'],
    [['explain', 'http://a.test/', '--admin-port', '1'], 3, 'no router answers'],
    [['explain', 'http://a.test/', '--admin-port', 'web'], 2, '--admin-port: "web" is not a port (1 to 65535)\n'],
    [['explain', 'http://a.test/', '-o', 'yaml'], 2, '--output: "yaml" is not text or json\n'],
    [['explain', 'http://a.test/', '-H', 'Host'], 2, '--header: "Host" is not NAME:VALUE\n'],
    [
      ['clear-status', '--source', 'files', '--manifests', '.'],
      2,
      '--source: files have no status that could be cleared',
    ],
    [['demo', 'now'], 2, 'headgate demo: argument 1 is not a flag\n'],
  ])('headgate %j', async (args, expected, message) => {
    const { code, stderr } = await runCommand(args);
    expect(code).toBe(expected);
    expect(stderr).toContain(message);
  });
});

test('help and version', async () => {
  expect(await runCommand(['help'])).toMatchObject({ code: 0, stderr: '' });
  expect((await runCommand(['version'])).stdout).toMatch(/^headgate \d+\.\d+\.\d+, Node v26\.\S+, OpenSSL \S+\n$/);
  expect((await runCommand(['serve', '--help'])).stdout).toContain('--http-port');
});

describe('a running router', () => {
  test('serves the Route of the README', async () => {
    const [, manifests = ''] = /<<'END'\n(.*?)^END$/ms.exec(readFileSync('README.md', 'utf8')) ?? [];
    using folder = new ManifestFolder();
    folder.write('shop.yaml', manifests);
    await using router = await RunningRouter.start(folder);
    const url = '/debug/explain?url=https://shop.example.com/cart';
    expect(await router.adminJson(url)).toMatchObject({
      ...{ route: 'default/shop', answer: 'what the pod answers' },
      services: [{ endpoints: ['127.0.0.1:3000'] }],
    });
  });

  test('puts a saved file in force, tells verdicts, and explains', async () => {
    await using pod = await NamedPod.start('pod');
    await using other = await NamedPod.start('other');
    using folder = new ManifestFolder();
    folder.write('services.yaml', serviceYaml('web', [pod.port]) + serviceYaml('other', [other.port]));
    folder.write('routes.yaml', routeYaml('first', 'a.test', 'web') + routeYaml('second', 'a.test', 'other'));
    await using router = await RunningRouter.start(folder);

    expect(await get(router.httpPort, 'a.test')).toMatchObject({ status: 200, body: 'pod' });
    type Report = { route: string; verdict: string; reason: string; message: string; revision: string };
    const [first, second] = await router.adminJson<Report[]>('/debug/routes');
    expect(first).toMatchObject({ route: 'default/first', verdict: 'admitted' });
    expect(second).toMatchObject({
      route: 'default/second',
      verdict: 'rejected',
      reason: 'HostAlreadyClaimed',
      message: 'route first already exposes a.test and is older',
    });

    // The winner goes: the loser is admitted and served, and one line says so.
    const verdict = router.nextLine((line) => line.msg === 'route verdict' && line['route'] === 'default/second');
    folder.write('routes.yaml', routeYaml('second', 'a.test', 'other'));
    expect(await verdict).toMatchObject({ verdict: 'admitted' });
    await eventually(
      () => get(router.httpPort, 'a.test'),
      ({ body }) => body === 'other',
    );

    // A broken file changes nothing and is told once, with its line.
    const problem = router.nextLine((line) => line.msg === 'manifest cannot be used');
    folder.write('routes.yaml', `${routeYaml('second', 'a.test', 'other')}---\nkind: [\n`);
    expect(await problem).toMatchObject({ file: expect.stringContaining('routes.yaml'), line: expect.any(Number) });
    expect(await get(router.httpPort, 'a.test')).toMatchObject({ body: 'other' });

    const port = String(router.adminPort);
    const text = await runCommand(['explain', 'http://a.test/x', '--admin-port', port]);
    expect(text.stdout).toContain('match      forward by Route default/second');
    const json = await runCommand(['explain', 'https://a.test/x', '--admin-port', port, '-o', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      match: 'unknown',
      answer: '503 (no-route)',
      candidates: [{ route: 'default/second', outcome: 'a Route without TLS is not served on the TLS port' }],
    });
  });

  test('behind a balancer with the PROXY protocol: ready, and each connection begins with a header', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    using folder = new ManifestFolder();
    folder.write('all.yaml', routeYaml('web', 'web.test', 'web') + serviceYaml('web', [pod.port]));
    const env = {
      ROUTER_USE_PROXY_PROTOCOL: 'true',
      HEADGATE_PROXY_PROTOCOL_TRUSTED: '127.0.0.0/8',
      HEADGATE_MAX_CONNECTIONS_PER_SOURCE: '2',
    };
    await using router = await RunningRouter.start(folder, ['--workers', '2', '--access-log-sample', '1'], env);
    expect((await router.admin('/healthz/ready')).status).toBe(200);
    using peer = await Peer.connect(router.httpPort);
    const line = router.line(({ msg }) => msg === 'access');
    await peer.write('PROXY TCP4 203.0.113.7 198.51.100.9 4242 4711\r\n', getRequest('web.test'));
    expect((await peer.message()).status).toBe(200);
    expect(seen[0]?.fields).toContain('X-Forwarded-For: 203.0.113.7');
    expect(await line).toMatchObject({ client: '203.0.113.7', host: 'web.test' });
    using without = await Peer.connect(router.httpPort);
    await without.write(getRequest('web.test'));
    await without.ended;
    expect(without.receivedBytes).toBe(0);
    const missing = (): Promise<number> =>
      router.metric('headgate_sessions_ended_total', 'reason="proxy-header-missing"');
    await eventually(missing, (count) => count === 1);
  });

  test('the access log to a syslog server, up to the last line', async () => {
    await using receiver = await SyslogReceiver.start('tcp');
    await using pod = await Pod.start(answering(ok('hi')));
    using folder = new ManifestFolder();
    folder.write('all.yaml', routeYaml('web', 'web.test', 'web') + serviceYaml('web', [pod.port]));
    const env = {
      ROUTER_SYSLOG_ADDRESS: receiver.address,
      ROUTER_SYSLOG_FORMAT: '"%b %{+Q}r %ac %[capture.req.hdr(0)]"',
      ROUTER_LOG_LEVEL: 'info',
      ROUTER_CAPTURE_HTTP_REQUEST_HEADERS: 'Host:5',
    };
    await using router = await RunningRouter.start(folder, ['--workers', '2'], env);
    using peer = await Peer.connect(router.httpPort);
    await peer.write(getRequest('web.test'));
    expect((await peer.message()).status).toBe(200);
    expect(await receiver.messages(1)).toEqual(['be_http:default:web "GET / HTTP/1.1" 1 web.t\n']);
    await peer.write(getRequest('web.test', '/last'));
    await peer.message();
    router.kill('SIGTERM');
    await router.exited;
    expect((await receiver.messages(2))[1]).toContain('GET /last');
    expect(router.lines.filter(({ msg }) => msg === 'access')).toEqual([]);
  });

  test('readiness, liveness and metrics on the admin port; /debug keeps strangers out', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = new ManifestFolder();
    folder.write('all.yaml', routeYaml('web', 'web.test', 'web') + serviceYaml('web', [pod.port]));
    await using router = await RunningRouter.start(folder, ['--workers', '2']);
    for (const path of ['/healthz', '/livez', '/healthz/ready', '/readyz']) {
      expect(await router.admin(path)).toEqual({ status: 200, text: 'ok\n' });
    }
    expect((await router.admin('/readyz?verbose')).text).toContain('[+]workers-serving ok: 2 of 2 workers');
    expect((await router.admin('/nothing')).status).toBe(404);
    for (let i = 0; i < 5; i++) await get(router.httpPort, 'web.test');
    await get(router.httpPort, 'nobody.test');
    expect(await router.metric('headgate_requests_total')).toBe(6);
    expect(await router.metric('headgate_answers_total', 'reason="no-route"')).toBe(1);
    expect(await router.metric('headgate_routes', 'verdict="admitted"')).toBe(1);
    expect(await get(router.adminPort, 'rebound.example', '/debug/table')).toMatchObject({ status: 403 });
    expect(await get(router.httpPort, 'x', '/_______internal_router_healthz')).toMatchObject({ status: 200 });
  });

  test('a silent worker delays a scrape by half a second at most, and the counters do not go backwards', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = new ManifestFolder();
    folder.write('all.yaml', routeYaml('web', 'web.test', 'web') + serviceYaml('web', [pod.port]));
    await using router = await RunningRouter.start(folder, ['--workers', '1']);
    for (let i = 0; i < 5; i++) await get(router.httpPort, 'web.test');
    expect(await router.metric('headgate_requests_total')).toBe(5);
    const { workers } = await router.processes();
    process.kill(workers[0]?.pid ?? 0, 'SIGSTOP');
    const asked = performance.now();
    expect(await router.metric('headgate_requests_total')).toBe(5);
    expect(performance.now() - asked).toBeGreaterThan(400);
    process.kill(workers[0]?.pid ?? 0, 'SIGKILL');
    await eventually(
      () => router.processes(),
      ({ workers: now }) => now.length === 1 && now[0]?.serving === true && now[0].pid !== workers[0]?.pid,
    );
    expect(await router.metric('headgate_requests_total')).toBe(5);
    await get(router.httpPort, 'web.test');
    expect(await router.metric('headgate_requests_total')).toBe(6);
  });
});

test('what a deployment of the OpenShift router sets is taken, and told of where it has no effect', async () => {
  await using pod = await NamedPod.start('pod');
  using folder = new ManifestFolder();
  folder.write('all.yaml', serviceYaml('web', [pod.port]) + routeYaml('web', 'web.test', 'web'));
  await using router = await RunningRouter.start(folder, ['--workers', '1'], {
    ROUTER_SERVICE_NAME: 'default',
    ROUTER_SERVICE_NAMESPACE: 'openshift-ingress',
    ROUTER_HAPROXY_CONFIG_MANAGER: 'false',
    RELOAD_INTERVAL: '5s',
    UPGRADE_VALIDATION: '',
  });
  const told = await router.line(({ msg }) => msg === 'set, and without effect');
  expect(told['names']).toEqual(['RELOAD_INTERVAL', 'ROUTER_HAPROXY_CONFIG_MANAGER']);
  expect((await get(router.httpPort, 'web.test')).body).toBe('pod');
});

test('a reader of the log that does not read stops nothing', async () => {
  await using pod = await NamedPod.start('pod');
  using folder = new ManifestFolder();
  const routes = Array.from({ length: 3_000 }, (_, i) => routeYaml(`route-${i}`, `host-${i}.test`, 'web'));
  folder.write('all.yaml', serviceYaml('web', [pod.port]) + routes.join(''));
  const [httpPort, httpsPort, adminPort] = await freePorts(3);
  const ports = ['--http-port', httpPort, '--https-port', httpsPort, '--admin-port', adminPort].map(String);
  const args = ['serve', '--source', 'files', '--manifests', folder.path, '--bind', '127.0.0.1', ...ports];
  const child = spawn(
    process.execPath,
    ['src/main.ts', ...args, '--allow-loopback-endpoints', '--shutdown-delay', '0'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const exited = new Promise((done) => {
    child.once('exit', (code) => done(code));
  });
  // Nobody reads standard output: 3,000 verdicts are far more than a pipe holds.
  const answer = await eventually(
    () => get(httpPort ?? 0, 'host-2999.test').catch(() => ({ status: 0, body: '' })),
    ({ status }) => status === 200,
  );
  expect(answer.body).toBe('pod');
  child.kill('SIGTERM');
  child.stdout.resume();
  expect(await exited).toBe(0);
});

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((listening) => {
      server.listen(0, '127.0.0.1', listening);
    });
    const address = server.address();
    ports.push(typeof address === 'object' && address !== null ? address.port : 0);
  }
  for (const server of servers) server.close();
  return ports;
}
