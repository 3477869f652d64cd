// Lines on their way to syslog servers of every kind: those that are there, that come later, go, or do not read.

import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readSyslogAddress } from '../../src/proxy/access-log/syslog-address.ts';
import { SyslogOutput } from '../../src/proxy/access-log/syslog-output.ts';
import type { Log, LogFields } from '../../src/telemetry/log.ts';
import { DataPlane } from '../support/data-plane.ts';
import { DatagramReader, hasPython } from '../support/datagram-reader.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { route } from '../support/rules.ts';
import { SyslogReceiver } from '../support/syslog-receiver.ts';

const folder = mkdtempSync(join(tmpdir(), 'headgate-syslog-'));
afterAll(() => rmSync(folder, { recursive: true }));

let paths = 0;
const freshPath = (): string => join(folder, String(++paths));

/** An output, what it said, and how many lines it lost. */
class Trial implements AsyncDisposable {
  dropped = 0;
  readonly said: string[] = [];
  readonly output: SyslogOutput;
  readonly #onSaid: Set<() => void> = new Set();

  constructor(address: string) {
    const say = (_fields: LogFields, message: string): void => {
      this.said.push(message);
      for (const came of this.#onSaid) came();
      this.#onSaid.clear();
    };
    const log: Log = { debug: say, info: say, warn: say, error: say, with: () => log };
    const target = readSyslogAddress(address);
    if (typeof target === 'string') throw new Error(target);
    this.output = new SyslogOutput(target, log, (lines) => {
      this.dropped += lines;
    });
  }

  write(...texts: readonly string[]): void {
    for (const text of texts) this.output.write(Buffer.from(`<142>Nov 21 01:02:03 host headgate[1]: ${text}\n`));
  }

  async untilSaid(message: string): Promise<void> {
    while (!this.said.includes(message)) await new Promise<void>((came) => this.#onSaid.add(came));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.output.close();
  }
}

const lost = 'syslog server cannot be reached, trying again';
const found = 'syslog server reached';
const many = Array.from({ length: 500 }, (_, i) => `line ${i}`);

describe.each(['udp', 'tcp', 'unix'] as const)('%s', (kind) => {
  test('every line arrives, whole and in order', async () => {
    await using receiver = await SyslogReceiver.start(kind);
    await using trial = new Trial(receiver.address);
    const texts = kind === 'udp' ? many.slice(0, 50) : many;
    trial.write(...texts);
    expect(await receiver.messages(texts.length)).toEqual(texts.map((text) => `${text}\n`));
    expect(trial.dropped).toBe(0);
    expect(trial.said).toEqual([]);
  });

  test('what waits at the end still leaves', async () => {
    await using receiver = await SyslogReceiver.start(kind);
    const trial = new Trial(receiver.address);
    trial.write('last words');
    await trial.output.close();
    expect(await receiver.messages(1)).toEqual(['last words\n']);
    expect(trial.dropped).toBe(0);
    trial.write('too late');
    expect(trial.dropped).toBe(1);
  });
});

test('a server that comes later gets what waited', async () => {
  const path = freshPath();
  await using trial = new Trial(path);
  trial.write('early');
  await trial.untilSaid(lost);
  await using receiver = await SyslogReceiver.start('unix', path);
  expect(await receiver.messages(1)).toEqual(['early\n']);
  await trial.untilSaid(found);
  expect(trial.said).toEqual([lost, found]);
});

test('a server that goes and comes again', async () => {
  const path = freshPath();
  await using trial = new Trial(path);
  {
    await using receiver = await SyslogReceiver.start('unix', path);
    trial.write('one');
    await receiver.messages(1);
  }
  await trial.untilSaid(lost);
  trial.write('two');
  await using receiver = await SyslogReceiver.start('unix', path);
  expect(await receiver.messages(1)).toEqual(['two\n']);
});

test('a server that does not read: what waits is bounded, the rest is dropped and counted', async () => {
  await using receiver = await SyslogReceiver.start('unread');
  await using trial = new Trial(receiver.address);
  const text = 'x'.repeat(60_000);
  const before = process.memoryUsage().external;
  let written = 0;
  // Whatever the kernel takes, it is not 100 MB.
  while (trial.dropped < 1000) {
    trial.write(text);
    if (++written % 20 === 0) await new Promise((turned) => setTimeout(turned, 5));
  }
  expect(written).toBeLessThan(1700);
  expect(process.memoryUsage().external - before).toBeLessThan(64 << 20);
});

test('a name that there is not: told once, and nothing stops', async () => {
  await using trial = new Trial('no-such-host.invalid:514');
  await trial.untilSaid(lost);
  trial.write('x');
  expect(trial.said).toEqual([lost]);
});

describe.runIf(hasPython)('UNIX datagrams', () => {
  test('every line is a datagram', async () => {
    const path = freshPath();
    using reader = await DatagramReader.start(path);
    await using trial = new Trial(path);
    trial.write(...many);
    const lines = await reader.untilLines(many.length);
    expect(lines.map((line) => line.replace(/^.*: /, ''))).toEqual(many);
    expect(trial.dropped).toBe(0);
  });

  test('a reader that goes and comes again', async () => {
    const path = freshPath();
    using first = await DatagramReader.start(path);
    await using trial = new Trial(path);
    trial.write('one');
    await first.untilLines(1);
    first[Symbol.dispose]();
    while (!trial.said.includes(lost)) {
      trial.write('to nobody');
      await new Promise((turned) => setTimeout(turned, 5));
    }
    rmSync(path);
    using second = await DatagramReader.start(path);
    const [line] = await second.untilLines(1);
    expect(line).toContain('to nobody');
    expect(trial.said).toEqual([lost, found]);
  });

  test('a reader that does not read: bounded, counted', async () => {
    const path = freshPath();
    using _reader = await DatagramReader.start(path, 'unread');
    await using trial = new Trial(path);
    const text = 'x'.repeat(10_000);
    for (let i = 0; i < 400; i++) {
      trial.write(text);
      if (i % 20 === 0) await new Promise((turned) => setImmediate(turned));
    }
    expect(trial.dropped).toBeGreaterThan(100);
    expect(trial.said).toEqual([]);
  });
});

test('lines of requests: priority, date, host and process before them, cut to their length', async () => {
  await using receiver = await SyslogReceiver.start('udp');
  await using pod = await Pod.start(answering(ok('hi')));
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
    settings: { syslogAddress: receiver.address, syslogFacility: 'local7', syslogMaxLength: 120 },
  });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test', `/${'x'.repeat(500)}`));
  await receiver.messages(1);
  const [line = ''] = receiver.lines;
  const header = /^<190>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (\S+) headgate\[(\d+)\]: 127\.0\.0\.1:\d+ \[/.exec(line);
  expect(header?.slice(1)).toEqual([hostname(), String(process.pid)]);
  expect(line).toHaveLength(120);
  expect(line.endsWith('\n')).toBe(true);
});

test('requests are served while the server does not read', async () => {
  await using receiver = await SyslogReceiver.start('unread');
  await using pod = await Pod.start(answering(ok('hi')));
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
    settings: { syslogAddress: receiver.address, syslogMaxLength: 20_000, syslogFormat: `${'y'.repeat(19_000)} %r` },
  });
  using client = await Peer.connect(plane.httpPort);
  for (let i = 0; i < 1000; i++) {
    await client.write(getRequest('a.test', `/${i}`));
    expect((await client.message()).status).toBe(200);
  }
  expect(plane.metric('headgate_log_lines_dropped_total', 'syslog')).toBeGreaterThan(0);
});
