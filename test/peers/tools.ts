// Programs of others that a machine may have: found, run, and their ports and files cleared away.

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Where a program is, or null. Also where Debian puts what administrators run. */
export function findTool(name: string): string | null {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin']) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next one.
    }
  }
  return null;
}

export type Ran = { readonly code: number | null; readonly stdout: Buffer; readonly stderr: string };

/** Runs a program to its end. */
export async function run(command: string, args: readonly string[], input: Buffer = Buffer.alloc(0)): Promise<Ran> {
  const child = spawn(command, args, { stdio: 'pipe' });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (piece: Buffer) => stdout.push(piece));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((done) => {
    child.once('close', (exit) => done(exit));
  });
  return { code, stdout: Buffer.concat(stdout), stderr };
}

/** A folder that goes with the test. */
export class TemporaryFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'headgate-peers-'));

  write(name: string, content: string | Buffer): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** How nginx listens on one of its ports. */
export type NginxPort = 'plain' | 'h2c' | 'tls' | 'h2';

/** nginx as a pod: one port of each kind, answering every path with the same body. */
export class NginxPod implements AsyncDisposable {
  readonly ports: Readonly<Record<NginxPort, number>>;
  readonly #child: ChildProcess;
  readonly #folder: TemporaryFolder;

  private constructor(ports: Readonly<Record<NginxPort, number>>, child: ChildProcess, folder: TemporaryFolder) {
    this.ports = ports;
    this.#child = child;
    this.#folder = folder;
  }

  static async start(
    path: string,
    body: string,
    tls: { readonly certificate: string; readonly key: string },
  ): Promise<NginxPod> {
    const folder = new TemporaryFolder();
    const certificate = folder.write('tls.crt', tls.certificate);
    const key = folder.write('tls.key', tls.key);
    const [plain = 0, h2c = 0, secure = 0, h2 = 0] = await freePorts(4);
    const listens = [`${plain}`, `${h2c} http2`, `${secure} ssl`, `${h2} ssl http2`];
    const servers = listens.map(
      (listen) => `
  server {
    listen 127.0.0.1:${listen};
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
    location / { default_type text/plain; return 200 '${body}'; }
  }`,
    );
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `  ${name}_temp_path ${folder.path}/${name};`,
    );
    const configuration = folder.write(
      'nginx.conf',
      `daemon off;
master_process off;
error_log stderr error;
pid ${folder.path}/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
${temporary.join('\n')}
${servers.join('')}
}
`,
    );
    const child = spawn(path, ['-p', folder.path, '-e', 'stderr', '-c', configuration], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let problems = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      problems += text;
    });
    const ended = new Promise<never>((_, failed) => {
      child.once('exit', () => failed(new Error(`nginx ended: ${problems}`)));
    });
    ended.catch(() => {});
    await Promise.race([ended, accepts(h2)]);
    return new NginxPod({ plain, h2c, tls: secure, h2 }, child, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = new Promise((done) => this.#child.once('exit', done));
    this.#child.kill('SIGKILL');
    await gone;
    this.#folder[Symbol.dispose]();
  }
}

/** Resolves when somebody listens on a port. */
async function accepts(port: number): Promise<void> {
  for (;;) {
    const isOpen = await new Promise<boolean>((done) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => done(true));
      socket.once('error', () => done(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    await new Promise((later) => setTimeout(later, 5));
  }
}

/** Ports that were free a moment ago, for programs that cannot tell which port they got. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((listening) => {
      server.listen(0, '127.0.0.1', listening);
    });
    ports.push((server.address() as AddressInfo).port);
  }
  for (const server of servers) server.close();
  return ports;
}
