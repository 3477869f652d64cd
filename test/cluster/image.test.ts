// The image, without a builder of images: its files are put together as the Dockerfile says and run with nothing else around.

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settings } from '../../src/config/schema.ts';
import { instructionsOf, stagesOf } from '../support/dockerfile.ts';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { ManifestFolder, type Program, RunningRouter, runCommand } from '../support/router.ts';

const project = resolve(import.meta.dirname, '../..');
const stages = stagesOf(readFileSync(join(project, 'Dockerfile'), 'utf8'));
const [build] = stages;
const image = stages.at(-1);

type Packages = Readonly<
  Record<string, { readonly dev?: boolean; readonly optional?: boolean; readonly devOptional?: boolean }>
>;
type PackageJson = {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
};

function json<T>(file: string): T {
  return JSON.parse(readFileSync(join(project, file), 'utf8'));
}

const packageJson: PackageJson = json('package.json');

/** The folders that `npm ci --omit=dev --omit=optional` makes, by the marks that npm puts into the lock file for it. */
const production = Object.entries(json<{ packages: Packages }>('package-lock.json').packages)
  .filter(([path, { dev, optional, devOptional }]) => path !== '' && !(dev || optional || devOptional))
  .map(([path]) => path)
  .sort();

/** All that the image adds to its base, under a folder of ours. */
class ImageFolder implements Disposable {
  readonly #top: string = mkdtempSync(join(tmpdir(), 'headgate-test-'));
  readonly root: string = join(this.#top, 'image');
  /** Empty, and the only place that may be written to. */
  readonly scratch: string = join(this.#top, 'scratch');
  readonly environment: Readonly<Record<string, string>>;

  constructor() {
    mkdirSync(this.root);
    mkdirSync(this.scratch);
    for (const { flags, args } of instructionsOf(image, 'COPY')) {
      const target = args.at(-1) ?? '';
      for (const source of args.slice(0, -1)) this.#copy(flags['--from'] ?? '', source, target);
    }
    chmodSync(this.#top, 0o755);
    chmodSync(this.scratch, 0o777);
    this.#chmod('a-w');
    this.environment = Object.fromEntries(
      instructionsOf(image, 'ENV').flatMap(({ args }) => args.map((pair) => pair.split('=') as [string, string])),
    );
  }

  /** The command of the image, run by a user of these numbers where we may choose one. */
  program(uid: number, gid: number): Program {
    const [command = '', ...args] = (instructionsOf(image, 'ENTRYPOINT')[0]?.args ?? []).map((word) =>
      word.startsWith('/') ? join(this.root, word) : word,
    );
    const env = { ...this.environment, PATH: '/nonexistent', HOME: this.scratch, TMPDIR: '/nonexistent' };
    const user = process.getuid?.() === 0 ? { uid, gid } : {};
    return { command, args, options: { cwd: this.scratch, env, ...user } };
  }

  [Symbol.dispose](): void {
    this.#chmod('u+w');
    rmSync(this.#top, { recursive: true, force: true });
  }

  #copy(from: string, source: string, target: string): void {
    expect(from).toBe(build?.name);
    // A library of Debian's, which this machine has in its own place.
    if (source === '/system/') return;
    const to = target.endsWith('/') ? join(this.root, target, basename(source)) : join(this.root, target);
    if (source === '/usr/local/bin/node') {
      cpSync(process.execPath, to, { dereference: true });
    } else if (source === '/app/node_modules') {
      for (const path of production) {
        cpSync(join(project, path), join(this.root, '/app', path), { recursive: true, filter: isNotNested });
      }
    } else {
      expect(contextFiles).toContain(source.replace('/app/', ''));
      cpSync(join(project, source.replace('/app/', '')), to, { recursive: true });
    }
  }

  #chmod(mode: 'a-w' | 'u+w'): void {
    const paths = readdirSync(this.root, { recursive: true, encoding: 'utf8' });
    for (const path of ['.', ...paths].map((entry) => join(this.root, entry))) {
      const bits = statSync(path).mode;
      chmodSync(path, mode === 'a-w' ? bits & ~0o222 : bits | 0o200);
    }
  }
}

/** What the build stage takes from the checkout. */
const contextFiles = instructionsOf(build, 'COPY').flatMap(({ args }) => args.slice(0, -1));

/** Packages inside of a package have their own entry in the lock file. */
function isNotNested(source: string): boolean {
  return !source
    .slice(project.length)
    .replace(/^\/node_modules\//, '')
    .includes('/node_modules');
}

let folder: ImageFolder;

beforeAll(() => {
  folder = new ImageFolder();
});

afterAll(() => folder[Symbol.dispose]());

/** The user of the image, and one as OpenShift gives it: any number, in group 0. */
const users: readonly { readonly who: string; readonly uid: number; readonly gid: number }[] = [
  { who: 'the user of the image', uid: 65532, gid: 65532 },
  { who: 'a user of OpenShift', uid: 1_000_650_000, gid: 0 },
];

describe('the Dockerfile', () => {
  const single = (name: string): readonly string[] => instructionsOf(image, name).flatMap(({ args }) => args);

  test('builds with the Node that the tests run with, and ends on a base without a shell', () => {
    const versions = new Set(Object.values(packageJson.optionalDependencies));
    expect(versions).toEqual(new Set([process.version.slice(1)]));
    expect(build?.base).toBe(`node:${process.version.slice(1)}-bookworm-slim`);
    expect(image?.base).toMatch(/^gcr\.io\/distroless\/cc-debian12:/);
    expect(instructionsOf(image, 'RUN')).toEqual([]);
  });

  test('installs what production needs and runs no install script', () => {
    const [npm] = instructionsOf(build, 'RUN').filter(({ args }) => args[0] === 'npm');
    expect(npm?.args).toEqual(expect.arrayContaining(['ci', '--omit=dev', '--omit=optional', '--ignore-scripts']));
  });

  test('runs as nobody in particular, without a shell in between, and drains when it is stopped', () => {
    expect(single('USER')).toEqual(['65532']);
    expect(instructionsOf(image, 'ENTRYPOINT').map(({ form }) => form)).toEqual(['exec']);
    expect(instructionsOf(image, 'CMD')).toMatchObject([{ form: 'exec', args: ['serve'] }]);
    expect(single('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(single('WORKDIR')).toEqual(['/app']);
    expect(single('ENV')).toContain('NODE_ENV=production');
  });

  test('names the ports that the router listens on', () => {
    expect(single('EXPOSE')).toEqual([
      settings.httpPort.default,
      settings.httpsPort.default,
      settings.adminPort.default,
    ]);
  });

  test('has the labels of the OCI', () => {
    const labels = Object.fromEntries(single('LABEL').map((pair) => pair.split(/="?|"$/, 2)));
    for (const name of [
      'title',
      'description',
      'version',
      'revision',
      'created',
      'licenses',
      'source',
      'documentation',
    ]) {
      expect(labels).toHaveProperty([`org.opencontainers.image.${name}`], expect.stringMatching(/./));
    }
    expect(labels['org.opencontainers.image.base.name']).toBe(image?.base);
    expect(single('ARG')).toContain(`VERSION=${packageJson.version}`);
  });

  test('asks the checkout for what .dockerignore lets through', () => {
    const [first, ...rest] = readFileSync(join(project, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(first).toBe('*');
    expect(rest.map((line) => line.replace(/^!/, '')).sort()).toEqual([...contextFiles].sort());
  });
});

describe('the files', () => {
  test('are the sources, the packages of production, and Node', () => {
    expect(readdirSync(folder.root).sort()).toEqual(['app', 'nodejs']);
    expect(readdirSync(join(folder.root, 'app')).sort()).toEqual(['LICENSE', 'node_modules', 'package.json', 'src']);
    for (const name of Object.keys(packageJson.dependencies)) expect(production).toContain(`node_modules/${name}`);
    for (const name of ['vitest', 'typescript', 'headgate', ...Object.keys(packageJson.optionalDependencies)]) {
      expect(existsSync(join(folder.root, 'app/node_modules', name)), name).toBe(false);
    }
  });

  test('hold every package that production loads', async () => {
    const { command, options } = folder.program(65532, 65532);
    const imports = Object.keys(packageJson.dependencies).map((name) => `import ${JSON.stringify(name)};`);
    expect(
      await runCommand(
        ['--input-type=module', '--eval', imports.join('')],
        {},
        {
          command,
          args: [],
          options: { ...options, cwd: join(folder.root, 'app') },
        },
      ),
    ).toMatchObject({ code: 0, stderr: '' });
  });
});

describe.each(users)('run by $who', ({ uid, gid }) => {
  test('tell version and help', async () => {
    const program = folder.program(uid, gid);
    expect(await runCommand(['version'], {}, program)).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining(`headgate ${packageJson.version}, Node ${process.version}`),
    });
    expect(await runCommand(['help'], {}, program)).toMatchObject({ code: 0, stderr: '' });
  });

  test('serve a Route, end on SIGTERM, and leave nothing', async () => {
    await using pod = await NamedPod.start('pod');
    using manifests = new ManifestFolder();
    chmodSync(manifests.path, 0o755);
    manifests.write('all.yaml', serviceYaml('web', [pod.port]) + routeYaml('web', 'a.test', 'web'));
    const env = { [settings.runDirectory.environment]: folder.scratch };
    await using router = await RunningRouter.start(manifests, ['--workers', '1'], env, folder.program(uid, gid));
    expect(await get(router.httpPort, 'a.test')).toMatchObject({ status: 200, body: 'pod' });
    router.kill('SIGTERM');
    expect(await router.exited).toEqual({ code: 0, signal: null });
    expect(readdirSync(folder.scratch)).toEqual([]);
  });
});
