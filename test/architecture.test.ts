// The walls of the house: who may import whom, which package has which door. See docs/architecture.md.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const src = resolve(import.meta.dirname, '../src');

type Import = { readonly from: string; readonly to: string; readonly typeOnly: boolean; readonly text: string };

const files: readonly string[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort();
const imports: readonly Import[] = files.flatMap(importsOf);

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8');
  const found: Import[] = [];
  const statement =
    /^(?:import|export)\s+(type\s+)?([^;]*?)\s*from\s+'([^']+)'|\bimport\('([^']+)'\)|^import\s+'([^']+)'/gm;
  for (const match of text.matchAll(statement)) {
    const specifier = match[3] ?? match[4] ?? match[5] ?? '';
    const names = match[2] ?? '';
    const named = /^\{(.*)\}$/s.exec(names)?.[1];
    const allTypes = named?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) === true;
    const to = specifier.startsWith('.') ? relative(src, join(src, dirname(file), specifier)) : specifier;
    found.push({ from: file, to, typeOnly: match[1] !== undefined || allTypes, text: match[0] });
  }
  return found;
}

/** The room of a file: its first folder, or the top floor for files right under src/. */
function roomOf(file: string): string {
  const slash = file.indexOf('/');
  return slash < 0 ? 'top' : file.slice(0, slash);
}

/** Rooms that each room may import from, besides itself; `config` as types only. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  table: [],
  protocol: [],
  telemetry: [],
  config: ['table'],
  replication: ['table', 'telemetry'],
  source: ['telemetry', 'config'],
  controller: ['table', 'telemetry', 'config', 'source', 'replication'],
  proxy: ['table', 'protocol', 'telemetry', 'config', 'replication'],
  admin: ['table', 'telemetry', 'config', 'replication'],
};
const topFloor = new Set(['top', 'cli']);

/** Who may import a package, as prefixes of files. A major upgrade of a package is then a change in one place. */
const doors: Readonly<Record<string, readonly string[]>> = {
  'js-yaml': ['source/files/'],
  '@kubernetes/client-node': ['source/kube/api-client.ts'],
  undici: ['source/kube/api-client.ts'],
  zod: ['config/', 'source/decode-manifest.ts', 'source/field-errors.ts'],
  'node-forge': ['cli/make-certificate.ts'],
  pino: ['telemetry/log.ts'],
  'node:net': ['proxy/', 'replication/', 'admin/', 'cli/demo', 'bound-sockets.ts'],
  'node:tls': ['proxy/', 'replication/', 'admin/', 'cli/demo'],
  'node:dgram': ['proxy/access-log/'],
  'node:ffi': ['proxy/access-log/unix-datagram.ts'],
  'node:http': ['admin/', 'cli/demo', 'controller/revocation-downloads.ts'],
  'node:https': ['cli/demo'],
  'node:child_process': ['supervisor.ts'],
  'node:cluster': ['supervisor.ts'],
};
/** What node:net knows of addresses opens no socket, and is for everybody. */
const addressNames = /^import \{ (?:(?:type )?(?:BlockList|isIP|isIPv4|isIPv6|SocketAddress),? ?)+\} from 'node:net'/;

describe('walls', () => {
  test('imports run down the floors', () => {
    const trespasses = imports.filter(({ from, to, typeOnly }) => {
      if (!files.includes(to)) return false;
      const room = roomOf(from);
      const target = roomOf(to);
      if (topFloor.has(room) || room === target) return false;
      if (mayImport[room]?.includes(target) !== true) return true;
      return target === 'config' && !typeOnly;
    });
    expect(
      trespasses.map(
        ({ from, to }) =>
          `${from} imports ${to}: ${roomOf(from)}/ may not. Take what it needs as an argument, or move the shared word to table/ or telemetry/.`,
      ),
    ).toEqual([]);
  });

  test('every package has its door', () => {
    const trespasses = imports.filter(({ from, to, text }) => {
      const door = doors[to];
      if (door === undefined || door.some((prefix) => from.startsWith(prefix))) return false;
      return !(to === 'node:net' && addressNames.test(text));
    });
    expect(
      trespasses.map(
        ({ from, to }) => `${from} imports ${to}: only ${doors[to]?.join(', ')} may; call what is there instead.`,
      ),
    ).toEqual([]);
  });

  test('every package that is imported has a door', () => {
    const strangers = imports.filter(
      ({ to }) => !to.startsWith('node:') && !files.includes(to) && doors[to] === undefined,
    );
    expect(strangers.map(({ from, to }) => `${from} imports ${to}: name its door in this test.`)).toEqual([]);
  });

  test('no cycles', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to, typeOnly } of imports) {
      if (!typeOnly && files.includes(to)) edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('every file is reached from main.ts', () => {
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const { from, to } of imports) if (from === file && files.includes(to)) visit(to);
    };
    visit('main.ts');
    expect(files.filter((file) => !reached.has(file))).toEqual([]);
  });

  test('no utils, no barrels', () => {
    const bad = files.filter((file) => /(^|\/)(index|utils?|helpers?|common|types)(\.ts$|\/)/.test(file));
    expect(bad).toEqual([]);
  });

  test('a worker loads nothing that is the controller’s', () => {
    const loaded = new Set<string>();
    const visit = (file: string): void => {
      if (loaded.has(file)) return;
      loaded.add(file);
      for (const { from, to, typeOnly } of imports) if (from === file && !typeOnly) visit(to);
    };
    visit('proxy/worker.ts');
    const packages = [...loaded].filter((name) => !name.endsWith('.ts') && !name.startsWith('node:'));
    expect(packages).toEqual(['pino']);
    expect([...loaded].filter((name) => /^(source|controller|admin|config|cli)\//.test(name))).toEqual([]);
  });
});
