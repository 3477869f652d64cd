// The demo as a user has it: every command of its page through a shell, WebSocket through the router, and nothing left.

import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Exit, eventually, isAlive, runCommand } from '../support/router.ts';
import { clientFrame, closeCode, opcodes, serverFrame, webSocket } from '../support/web-socket.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');
const lacksCurl = spawnSync('curl', ['--version']).error !== undefined;

type Command = { readonly feature: string; readonly text: string };

class RunningDemo implements AsyncDisposable {
  /** Its own folder for temporary files, so that what is left can be seen. */
  readonly temporary: string = mkdtempSync(join(tmpdir(), 'headgate-test-'));
  readonly exited: Promise<Exit>;
  commands: readonly Command[] = [];
  httpPort = 0;
  #adminUrl = '';
  #output = '';
  readonly #child: ChildProcess;

  private constructor() {
    const child = spawn(
      process.execPath,
      [main, 'demo', '--http-port', '0', '--https-port', '0', '--admin-port', '0'],
      { env: { ...process.env, TMPDIR: this.temporary }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#child = child;
    // 'close' comes when nobody holds the output any more: neither the command nor a process that it has started.
    this.exited = new Promise((done) => {
      child.once('close', (code, signal) => done({ code, signal }));
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  static async start(): Promise<RunningDemo> {
    const demo = new RunningDemo();
    await new Promise<void>((ready, failed) => {
      demo.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        demo.#output += text;
        if (demo.#output.includes('Ctrl-C ends everything')) ready();
      });
      void demo.exited.then(() => failed(new Error(`the demo ended at its start\n${demo.#output}`)));
    });
    demo.httpPort = Number(/^ {2}HTTP +http:\/\/127\.0\.0\.1:(\d+)$/m.exec(demo.#output)?.[1]);
    demo.#adminUrl = /^ {2}admin +(http:\/\/127\.0\.0\.1:\d+)\//m.exec(demo.#output)?.[1] ?? '';
    demo.commands = commandsOf(demo.#output);
    return demo;
  }

  command(feature: string, nth = 0): string {
    return this.commands.filter((command) => command.feature.startsWith(feature))[nth]?.text ?? 'exit 99';
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async pids(): Promise<readonly number[]> {
    const answer = await fetch(`${this.#adminUrl}/debug/processes`);
    const { supervisor, controller, workers } = (await answer.json()) as {
      supervisor: number;
      controller: number;
      workers: { pid: number }[];
    };
    return [supervisor, controller, ...workers.map(({ pid }) => pid)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGTERM');
    const late = setTimeout(() => this.kill('SIGKILL'), 15_000);
    await this.exited;
    clearTimeout(late);
    rmSync(this.temporary, { recursive: true, force: true });
  }
}

/** The commands of the page, each with the comment above it. */
function commandsOf(page: string): Command[] {
  const commands: Command[] = [];
  let feature = '';
  for (const line of page.slice(page.indexOf('\n# ')).split('\n')) {
    if (line.startsWith('# ')) feature = line.slice(2);
    else if (line === '' && feature !== '') break;
    else if (line !== '') commands.push({ feature, text: line });
  }
  return commands;
}

/** What a shell makes of a command; rejects where it fails. */
function shell(command: string): Promise<string> {
  return new Promise((done, failed) => {
    execFile('/bin/sh', ['-c', command], (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else failed(new Error(`${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

describe('the page', () => {
  let demo: RunningDemo;
  beforeAll(async () => {
    demo = await RunningDemo.start();
  });
  afterAll(() => demo[Symbol.asyncDispose]());

  const forwarded = (scheme: string): RegExp => new RegExp(`"x-forwarded-proto": "${scheme}"`);
  const cases: readonly (readonly [feature: string, nth: number, answer: readonly RegExp[], never?: RegExp])[] = [
    ['plain', 0, [/"pod": "hello-[12]"/, forwarded('http')]],
    ['edge', 0, [/"pod": "hello-[12]"/, forwarded('https')]],
    ['redirect', 0, [/^HTTP\/1.1 302 /, /^Location: https:\/\/redirect\.demo\.test:\d+\/\r$/m, forwarded('https')]],
    ['re-encrypt', 0, [/"pod": "secure-1"/, forwarded('https')]],
    ['passthrough', 0, [/"pod": "secure-1"/], /forwarded/],
    ['paths', 0, [/"pod": "hello-[12]"/]],
    ['paths', 1, [/"pod": "api-1"/, /"path": "\/api\/items"/]],
    ['weighted', 0, [/^ *10 +"pod": "canary-1",\n *90 +"pod": "stable-1",\n$/]],
    ['wildcard', 0, [/"pod": "hello-[12]"/, /"host": "tigers\.wild\.demo\.test:\d+"/]],
    ['WebSocket', 0, [/^HTTP\/1.1 101 /, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=$/m, /hello$/]],
    ['metrics', 0, [/^headgate_requests_total\{.*code="2xx".*\} \d+$/m]],
    ['why', 0, [/^match {6}forward by Route demo\/edge$/m, /^answer {5}what the pod answers$/m]],
  ];

  test.for(cases)('%s, command %i', async ([feature, nth, answer, never], context) => {
    const command = demo.command(feature, nth);
    context.skip(lacksCurl && command.startsWith('curl'), 'curl is not installed');
    const output = await shell(command);
    for (const pattern of answer) expect(output).toMatch(pattern);
    if (never !== undefined) expect(output).not.toMatch(never);
  });

  test('a Route is changed while it is served', async (context) => {
    context.skip(lacksCurl, 'curl is not installed');
    await shell(demo.command('a change'));
    const weighted = demo.command('weighted');
    await eventually(
      () => shell(weighted),
      (output) => /^ *50 +"pod": "canary-1",\n *50 +"pod": "stable-1",\n$/.test(output),
    );
  });

  test('has no command that is not tried here', () => {
    expect(demo.commands.map(({ feature }) => feature.split(/[: ]/)[0])).toEqual([...cases.map(([name]) => name), 'a']);
  });

  const { text, binary, close, ping, pong } = opcodes;
  const hello = Buffer.from('hello');
  const letters = Buffer.alloc(60_000, 'abc');
  const tooLarge = Buffer.alloc(65_537);
  const echoes: readonly (readonly [name: string, sent: Buffer, answer: Buffer])[] = [
    ['a text', clientFrame(text, hello), serverFrame(text, hello)],
    ['a large message', clientFrame(binary, letters), serverFrame(binary, letters)],
    ['a ping', clientFrame(ping, hello), serverFrame(pong, hello)],
    ['a close', clientFrame(close, closeCode(1000)), serverFrame(close, closeCode(1000))],
    ['no mask: closed with 1002', serverFrame(text, hello), serverFrame(close, closeCode(1002))],
    ['too large: closed with 1009', clientFrame(binary, tooLarge), serverFrame(close, closeCode(1009))],
  ];

  test.each(echoes)('WebSocket echo: %s', async (_, sent, answer) => {
    const { socket, read } = await webSocket(demo.httpPort, 'websocket.demo.test');
    // In two pieces, so that a frame is not always whole.
    socket.write(sent.subarray(0, 3), () => socket.write(sent.subarray(3)));
    expect((await read(answer.length)).equals(answer)).toBe(true);
    socket.destroy();
  });
});

describe('the end', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s leaves nothing, open connections or not', async (signal) => {
    await using demo = await RunningDemo.start();
    const { socket } = await webSocket(demo.httpPort, 'websocket.demo.test');
    const pids = await demo.pids();
    const startMs = performance.now();
    demo.kill(signal);
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(pids.length).toBeGreaterThanOrEqual(3);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(readdirSync(demo.temporary)).toEqual([]);
    socket.destroy();
  });

  test('a second Ctrl-C, as npm passes it on, is as good an end', async () => {
    await using demo = await RunningDemo.start();
    const { socket } = await webSocket(demo.httpPort, 'websocket.demo.test');
    const pids = await demo.pids();
    demo.kill('SIGINT');
    await eventually(
      () => isRefused(demo.httpPort),
      (refused) => refused,
    );
    demo.kill('SIGINT');
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    // They were killed and nobody waited for them: whoever adopts them does.
    await eventually(
      async () => pids.filter(isAlive),
      (alive) => alive.length === 0,
    );
    expect(readdirSync(demo.temporary)).toEqual([]);
    socket.destroy();
  });

  test.each([
    ['a port in use', (port: number) => ['--http-port', String(port)], 1, 'the port is in use'],
    ['an option that does not exist', () => ['--http-prt', '0'], 2, 'unknown flag, did you mean --http-port?'],
  ] as const)('%s: said, and nothing left', async (_, argsFor, code, message) => {
    const temporary = mkdtempSync(join(tmpdir(), 'headgate-test-'));
    const taken = createServer();
    await new Promise<void>((listening) => {
      taken.listen(0, '127.0.0.1', listening);
    });
    const args = ['demo', '--https-port', '0', '--admin-port', '0', ...argsFor((taken.address() as AddressInfo).port)];
    const { code: exitCode, stderr } = await runCommand(args, { TMPDIR: temporary });
    taken.close();
    expect({ exitCode, left: readdirSync(temporary) }).toEqual({ exitCode: code, left: [] });
    expect(stderr).toContain(message);
    rmSync(temporary, { recursive: true });
  });
});

/** Whether nobody listens on a port of this machine. */
function isRefused(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.destroy();
      done(false);
    });
    socket.once('error', () => done(true));
  });
}
