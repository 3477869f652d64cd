// Turns flags and environment into one frozen Config, or says everything that is wrong with them in one go.
import { accessSync, constants, statSync } from 'node:fs';
import { type Config, type Setting, type SettingKey, type SettingValues, settingList } from './schema.ts';
import { quoted } from './shown.ts';
import { readValue, type Value } from './values.ts';

/** A Config, or every problem found, each naming the setting as it was typed. Problems never hold the text of a secret. */
export type LoadResult =
  | { readonly kind: 'config'; readonly config: Config }
  | { readonly kind: 'problems'; readonly problems: readonly string[] };

/** A further look at values that are each right: what it finds wrong, by setting. Values that have a problem are undefined. */
export type SettingCheck = (
  values: Partial<SettingValues>,
) => readonly { readonly key: SettingKey; readonly because: string }[];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The Config that flags and environment stand for: a flag goes before the environment, which goes before the default. A flag
 * given twice counts as given last; an empty environment value counts as not set. Files and folders that the settings name
 * are looked for, not read. `checks`: what only libraries can tell that this room does not know.
 */
export function loadConfig(
  args: readonly string[],
  env: Environment,
  checks: readonly SettingCheck[] = [],
): LoadResult {
  const problems: string[] = [];
  const typed = flagTexts(args, problems);
  const found: Partial<Record<SettingKey, Value>> = {};
  const names = {} as Record<SettingKey, string>;
  for (const setting of settingList) {
    const given = givenText(setting, typed, env);
    names[setting.key] = given.name;
    if (given.text === undefined) {
      problems.push(`${given.name}: ${given.because}`);
    } else if (given.text === '' && given.from === 'default' && !isListed(setting)) {
      found[setting.key] = '';
    } else {
      const manner = given.from === 'environment' && isInherited(given.name) ? 'lenient' : 'strict';
      const reading = readValue(setting.value, given.text, manner);
      if (reading.kind === 'value') found[setting.key] = reading.value;
      else problems.push(`${given.name}: ${reading.because}`);
    }
  }
  // `readValue` and the table agree on the type of each value; TypeScript cannot follow that over a loop.
  const values = found as Partial<SettingValues>;
  const index = shardIndex(values, env);
  problems.push(...contradictions(values, names), ...adminProblems(values, names));
  problems.push(...shardProblems(values, names, index));
  problems.push(...clusterProblems(values, names, env), ...pathProblems(values, names));
  for (const { key, because } of checks.flatMap((check) => check(values))) problems.push(`${names[key]}: ${because}`);
  return problems.length > 0 ? { kind: 'problems', problems } : { kind: 'config', config: configOf(values, index) };
}

/** Whether no text at all stands for an empty list. */
function isListed({ value }: Setting): boolean {
  return [
    'domains',
    'networks',
    'label-selector',
    'project-selector',
    'field-selector',
    'header-names',
    'header-actions',
    'id-format',
  ].includes(value.kind);
}

function configOf(values: Partial<SettingValues>, index: number): Config {
  // Whatever has no value has a problem, and with a problem there is no Config.
  const whole = values as SettingValues;
  const { address, port } = adminAddress(whole);
  return Object.freeze({
    ...whole,
    shardIndex: index,
    routerName: whole.shardCount > 1 ? `${whole.name}-${index}` : whole.name,
    bindAddress: trafficAddress(whole),
    ipv6Only: whole.bindAddress === '' && whole.addressFamilies === 'v6',
    adminBind: address,
    adminPort: port ?? whole.adminPort,
    shutdownTimeoutMs: Math.min(whole.shutdownTimeoutMs, whole.hardStopAfterMs),
    metricsCompat: whole.metricsCompat || whole.metricsType || 'none',
    maxHeadBytes: whole.bufferBytes - whole.maxRewriteBytes,
  });
}

/** Where clients come in: on the address that was named, else on all of their families (Route semantics 4.4). */
function trafficAddress({ bindAddress = '', addressFamilies }: Partial<SettingValues>): string {
  if (bindAddress !== '') return bindAddress;
  return addressFamilies === 'v6' || addressFamilies === 'v4v6' ? '::' : '0.0.0.0';
}

/** Where the admin port is: the listen address goes before the settings of its two parts (Route semantics 4.3). */
function adminAddress(values: Partial<SettingValues>): {
  readonly address: string;
  readonly port: number | undefined;
} {
  const { adminListen = '', adminBind = '', adminPort } = values;
  const colon = adminListen.lastIndexOf(':');
  const named = adminListen.slice(0, Math.max(colon, 0)).replace(/^\[|\]$/g, '');
  const address = named || adminBind || trafficAddress(values);
  return { address, port: colon < 0 ? adminPort : Number(adminListen.slice(colon + 1)) };
}

/** The texts of the flags that were given, undefined where the value is missing. Adds what is no flag to the problems. */
function flagTexts(args: readonly string[], problems: string[]): ReadonlyMap<string, string | undefined> {
  const typed = new Map<string, string | undefined>();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    const equals = arg.indexOf('=');
    const flag = equals < 0 ? arg : arg.slice(0, equals);
    const setting = settingList.find((candidate) => candidate.flag === flag);
    const next = args[i + 1];
    const nextIsValue = equals < 0 && next !== undefined && !next.startsWith('--');
    if (!/^--[\w-]{1,60}$/.test(flag)) {
      // Nothing of it is shown: the lines of a PEM text that the shell has split arrive here.
      problems.push(`argument ${i + 1} is not a flag`);
    } else if (setting === undefined) {
      const near = nearestFlag(flag);
      problems.push(`${flag}: unknown flag${near === undefined ? '' : `, did you mean ${near}?`}`);
      if (nextIsValue) i++;
    } else if (equals >= 0) {
      typed.set(flag, arg.slice(equals + 1));
    } else if (setting.value.kind === 'switch') {
      typed.set(flag, 'true');
    } else {
      typed.set(flag, nextIsValue ? next : undefined);
      if (nextIsValue) i++;
    }
  }
  return typed;
}

type Given =
  | { readonly name: string; readonly text: string; readonly from: 'flag' | 'environment' | 'default' }
  | { readonly name: string; readonly text: undefined; readonly because: string };

function givenText(setting: Setting, typed: ReadonlyMap<string, string | undefined>, env: Environment): Given {
  const { flag, environment } = setting;
  if (flag !== undefined && typed.has(flag)) {
    const text = typed.get(flag);
    return text === undefined ? { name: flag, text, because: 'needs a value' } : { name: flag, text, from: 'flag' };
  }
  for (const each of [environment, ...(setting.standIns ?? [])]) {
    const text = env[each] ?? '';
    if (text !== '') return { name: each, text, from: 'environment' };
  }
  const name = flag ?? environment;
  if (setting.default === undefined) return { name, text: undefined, because: `is required (or ${environment})` };
  return { name, text: setting.default, from: 'default' };
}

/** Whether an environment name is the OpenShift router's own, so that its reading of garbage holds (Route semantics 4). */
function isInherited(environment: string): boolean {
  return !environment.startsWith('HEADGATE_');
}

/** Settings that are each right but not together. A setting without a value has its problem already and is passed over. */
function contradictions(values: Partial<SettingValues>, names: Readonly<Record<SettingKey, string>>): string[] {
  const problems: string[] = [];
  const { httpPort, httpsPort, bufferBytes, maxRewriteBytes } = values;
  // Route semantics 4.1: of the flag in its place nothing is asked.
  if (names.name === 'ROUTER_SERVICE_NAME' && values.serviceNamespace === '') {
    problems.push('ROUTER_SERVICE_NAMESPACE: is required when ROUTER_SERVICE_NAME is specified');
  }
  if (values.source === 'files' && values.manifests === '') {
    problems.push(`${names.manifests}: is required with ${names.source} files`);
  }
  if (httpPort !== undefined && httpPort !== 0 && httpPort === httpsPort) {
    problems.push(`${names.httpsPort}: ${httpsPort} is the port of ${names.httpPort} too`);
  }
  const admin = adminAddress(values);
  const adminName = values.adminListen === '' ? names.adminPort : names.adminListen;
  const { bindAddress, addressFamilies, adminBind, adminListen } = values;
  const areKnown = [bindAddress, addressFamilies, adminBind, adminListen].every((value) => value !== undefined);
  if (areKnown && admin.port !== undefined && admin.port !== 0 && overlap(admin.address, trafficAddress(values))) {
    if (admin.port === httpPort) problems.push(`${adminName}: ${admin.port} is the port of ${names.httpPort} too`);
    if (admin.port === httpsPort) problems.push(`${adminName}: ${admin.port} is the port of ${names.httpsPort} too`);
  }
  if (bufferBytes !== undefined && maxRewriteBytes !== undefined && bufferBytes - maxRewriteBytes < minHeadBytes) {
    problems.push(
      `${names.bufferBytes} less ${names.maxRewriteBytes}: ${bufferBytes} - ${maxRewriteBytes} leaves less than ${minHeadBytes} bytes for a head`,
    );
  }
  if (values.clientCertificates !== undefined && values.clientCertificates !== 'none' && values.clientCaPath === '') {
    problems.push(`${names.clientCaPath}: is required with ${names.clientCertificates} ${values.clientCertificates}`);
  }
  return problems;
}

/** Settings of the admin port that need one another. */
function adminProblems(values: Partial<SettingValues>, names: Readonly<Record<SettingKey, string>>): string[] {
  const problems: string[] = [];
  const { metricsTlsCertFile, metricsTlsKeyFile, readyUrl } = values;
  const isGiven = (text: string | undefined): boolean => text !== undefined && text !== '';
  const both = (one: SettingKey, hasOne: boolean, other: SettingKey, hasOther: boolean): void => {
    if (hasOne && !hasOther) problems.push(`${names[other]}: is required with ${names[one]}`);
    if (hasOther && !hasOne) problems.push(`${names[one]}: is required with ${names[other]}`);
  };
  both('metricsTlsCertFile', isGiven(metricsTlsCertFile), 'metricsTlsKeyFile', isGiven(metricsTlsKeyFile));
  const userSetting = isGiven(values.statsUsernameFile) ? 'statsUsernameFile' : 'statsUsername';
  const passwordSetting = isGiven(values.statsPasswordFile) ? 'statsPasswordFile' : 'statsPassword';
  both(userSetting, isGiven(values[userSetting]), passwordSetting, isGiven(values[passwordSetting]));
  // What is asked is the plain port, and a PROXY header may go before the request.
  if (isGiven(readyUrl) && !readyUrl?.startsWith('http:')) problems.push(`${names.readyUrl}: must begin with http:`);
  return problems;
}

/** The index that is set, else the number at the end of the pod's name; -1 where neither is there. */
function shardIndex({ shardCount, shardIndex: text }: Partial<SettingValues>, env: Environment): number {
  if (text !== undefined && text !== '') return Number(text);
  if (shardCount === 1) return 0;
  const ordinal = /-(\d+)$/.exec(env['POD_NAME'] || env['HOSTNAME'] || '')?.[1];
  return ordinal === undefined ? -1 : Number(ordinal);
}

function shardProblems(
  values: Partial<SettingValues>,
  names: Readonly<Record<SettingKey, string>>,
  index: number,
): string[] {
  const problems: string[] = [];
  const { namespace, namespaceLabels, projectLabels, shardCount } = values;
  const byNamespaceLabels = namespaceLabels !== undefined && namespaceLabels.length > 0;
  const byProjectLabels = projectLabels !== undefined && projectLabels !== null;
  const together = (one: SettingKey, other: SettingKey): void => {
    problems.push(`${names[one]} and ${names[other]}: only one of them may be used`);
  };
  if (byProjectLabels && namespace !== '') together('projectLabels', 'namespace');
  if (byNamespaceLabels && byProjectLabels) together('namespaceLabels', 'projectLabels');
  if (byNamespaceLabels && namespace !== '') together('namespaceLabels', 'namespace');
  if (shardCount !== undefined && values.shardIndex !== undefined) {
    if (index < 0) {
      problems.push(
        `${names.shardIndex}: is required with ${names.shardCount} ${shardCount}, as neither POD_NAME nor HOSTNAME ends with a number`,
      );
    } else if (index >= shardCount) {
      problems.push(`${names.shardIndex}: ${index} is not below ${names.shardCount} (${shardCount})`);
    }
  }
  const { hostTemplate, overrideHosts, overrideDomains, canonicalHostname } = values;
  if (hostTemplate === '') {
    if (overrideHosts === true) problems.push(`${names.overrideHosts}: requires ${names.hostTemplate}`);
    if ((overrideDomains ?? []).length > 0) problems.push(`${names.overrideDomains}: requires ${names.hostTemplate}`);
  }
  if (canonicalHostname !== undefined && /^[\d.]+$/.test(canonicalHostname)) {
    problems.push(`${names.canonicalHostname}: ${quoted(canonicalHostname)} is an IP address, not a host name`);
  }
  return problems;
}

function clusterProblems(
  values: Partial<SettingValues>,
  names: Readonly<Record<SettingKey, string>>,
  env: Environment,
): string[] {
  const inPod = (env['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
  if (values.source !== 'kubernetes' || values.kubeconfig !== '' || inPod) return [];
  return [
    `${names.source} kubernetes: there is no cluster here, as this is no pod; name a kubeconfig with ${names.kubeconfig} ` +
      `(or KUBECONFIG), or serve a folder of manifests with --source files --manifests DIR`,
  ];
}

/** Browsers send heads of a few kilobytes; a router that takes less refuses ordinary requests. */
const minHeadBytes = 4096;

/** Whether one port cannot be bound on both addresses; both are in canonical form. */
function overlap(one: string, other: string): boolean {
  const isIpv4 = (address: string): boolean => !address.includes(':');
  const covers = (wide: string, address: string): boolean =>
    wide === '::' || (wide === '0.0.0.0' && isIpv4(address)) || wide === address;
  return covers(one, other) || covers(other, one);
}

/** Files and folders that the settings name, that will be used, and that cannot be. */
function pathProblems(values: Partial<SettingValues>, names: Readonly<Record<SettingKey, string>>): string[] {
  // The OpenShift router never looks at a default certificate that another goes before (Route semantics 4.2).
  const overruled: SettingKey[] = [];
  if (values.defaultCertificatePem !== '') overruled.push('defaultCertificatePath', 'defaultCertificateDir');
  else if (values.defaultCertificatePath !== '') overruled.push('defaultCertificateDir');
  const problems: string[] = [];
  for (const { key, value } of settingList) {
    const path = values[key];
    if (typeof path !== 'string' || path === '' || overruled.includes(key)) continue;
    const because = pathProblem(value.kind, path);
    if (because !== undefined) problems.push(`${names[key]}: ${quoted(path)} ${because}`);
  }
  return problems;
}

function pathProblem(kind: Setting['value']['kind'], path: string): string | undefined {
  if (kind !== 'file' && kind !== 'directory' && kind !== 'writable-directory') return undefined;
  try {
    const isDirectory = statSync(path).isDirectory();
    if (kind === 'file' && isDirectory) return 'is a folder, not a file';
    if (kind !== 'file' && !isDirectory) return 'is not a folder';
    accessSync(path, constants.R_OK | (kind === 'file' ? 0 : constants.X_OK));
    if (kind === 'writable-directory') accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code !== 'ENOENT') return `cannot be used (${code})`;
    // A folder to write to is made at start.
    return kind === 'writable-directory' ? undefined : 'does not exist';
  }
}

/** The flag that was likely meant, or undefined where none is close. */
function nearestFlag(typed: string): string | undefined {
  const wanted = typed.replaceAll('_', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  let nearest: string | undefined;
  let least = 3;
  for (const { flag } of settingList) {
    if (flag === undefined) continue;
    const distance = editDistance(wanted, flag);
    if (distance < least) [nearest, least] = [flag, distance];
  }
  return nearest ?? settingList.find(({ flag }) => wanted.length > 4 && flag?.startsWith(wanted))?.flag;
}

/** Letters to add, drop or replace to get from one text to the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 0; i < from.length; i++) {
    const row = [i + 1];
    for (let j = 0; j < to.length; j++) {
      const replaced = (previous[j] ?? 0) + (from[i] === to[j] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[to.length] ?? 0;
}
