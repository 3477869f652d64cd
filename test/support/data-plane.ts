// The data plane of a worker inside the test's own process: real sockets, a table made by hand, and at its end the check that
// nothing was left behind.

import { randomBytes } from 'node:crypto';
import { BoundSocket } from 'node:net';
import type { HeadLimits } from '../../src/protocol/field-lines.ts';
import { spellingsOf } from '../../src/protocol/field-spelling.ts';
import type { AccessLine } from '../../src/proxy/access-log/access-line.ts';
import { AccessLog } from '../../src/proxy/access-log/access-log.ts';
import type { AccessLogSettings } from '../../src/proxy/access-log/access-log-settings.ts';
import { Captures } from '../../src/proxy/access-log/captures.ts';
import { AnswerBook, type AnswerReason } from '../../src/proxy/answers.ts';
import { Compression, type CompressionSettings } from '../../src/proxy/compression.ts';
import { type ProxyContext, ProxyCounters, type ProxySettings } from '../../src/proxy/context.ts';
import { type DeadlineOwner, type DeadlineSlot, Deadlines } from '../../src/proxy/deadlines.ts';
import type { EndReason } from '../../src/proxy/end-reason.ts';
import { EndpointHealth } from '../../src/proxy/health/endpoint-health.ts';
import { HealthChecks } from '../../src/proxy/health/health-checks.ts';
import { ClientLimits } from '../../src/proxy/listener/client-limits.ts';
import { Listener, type NewSession } from '../../src/proxy/listener/listener.ts';
import { RouteLimits } from '../../src/proxy/listener/route-limits.ts';
import { TrustedSources } from '../../src/proxy/listener/trusted-sources.ts';
import { createHeadReaders } from '../../src/proxy/session/http-connection.ts';
import { Session } from '../../src/proxy/session/session.ts';
import { StrictSni } from '../../src/proxy/session/strict-sni.ts';
import { type TerminatorSettings, TlsTerminator } from '../../src/proxy/session/tls.ts';
import { uniqueIdsOf } from '../../src/proxy/session/unique-ids.ts';
import { Tallies, type TallyScope } from '../../src/proxy/tallies/tallies.ts';
import { Balancer } from '../../src/proxy/upstream/balancer.ts';
import { Connector } from '../../src/proxy/upstream/connector.ts';
import { PodPlaces } from '../../src/proxy/upstream/pod-places.ts';
import { UpstreamPool } from '../../src/proxy/upstream/pool.ts';
import type { UpstreamConnection } from '../../src/proxy/upstream/upstream-connection.ts';
import { type JsonValue, Peers } from '../../src/replication/peers.ts';
import type { Change } from '../../src/table/delta.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import type { Log, LogFields } from '../../src/telemetry/log.ts';
import { type MetricName, Metrics } from '../../src/telemetry/metrics.ts';
import { Column, type RowsByKey, takeRows } from '../../src/telemetry/tally-row.ts';
import { makeCertificate } from './certificates.ts';
import { certificate, defaultCertificate } from './rules.ts';

type TestSettings = ProxySettings &
  TerminatorSettings &
  AccessLogSettings & {
    readonly clientHeaderFilter: boolean;
    readonly strictSni: boolean;
    readonly headerSpellings: readonly string[];
  };

/** Long enough that no test meets one of them by accident; ports as in the golden cases. */
const testSettings: TestSettings = {
  publicHttpPort: 28_080,
  publicHttpsPort: 28_443,
  forwardedHeaders: 'append',
  uniqueIdHeader: '',
  uniqueIdFormat: [],
  connectTimeoutMs: 5_000,
  checkIntervalMs: 5_000,
  clientTimeoutMs: 30_000,
  clientFinTimeoutMs: 1_000,
  serverTimeoutMs: 30_000,
  serverFinTimeoutMs: 1_000,
  headTimeoutMs: 10_000,
  keepAliveTimeoutMs: 300_000,
  tunnelTimeoutMs: 3_600_000,
  inspectDelayMs: 5_000,
  maxHeadBytes: 24_576,
  maxHeaderLines: 100,
  maxStreams: 100,
  errorPage404Path: '',
  disableHttp2: false,
  maxConnections: 0,
  maxConnectionsPerSource: 0,
  maxHandshakes: 0,
  maxHandshakesPerSource: 0,
  maxIdleUpstream: 64,
  maxCertificateContexts: 2_000,
  accessLogSample: 0,
  syslogAddress: '',
  syslogFormat: '',
  syslogFacility: 'local1',
  syslogLevel: 'info',
  syslogMaxLength: 1024,
  captureRequestHeaders: '',
  captureResponseHeaders: '',
  captureCookie: '',
  dontLogNull: false,
  ignoreProbes: false,
  strictSni: false,
  headerSpellings: [],
  refuseUnknownNames: false,
  abortOnClose: false,
  idleCloseOnResponse: false,
  clientHeaderFilter: true,
  clientSubjectFilter: '',
  tlsProfile: 'Intermediate',
  tlsMinVersion: '',
  tlsMaxVersion: '',
  tlsCiphers: '',
  tlsCipherSuites: '',
  tlsCurves: 'X25519MLKEM768:X25519:secp256r1:secp384r1:secp521r1',
};

const everything: TallyScope = { routes: 1_000, endpoints: 1_000, frontends: 'counted', checks: 'timed' };

/** How long what is closing may take to be gone when a test is over. */
const leaveMs = 3_000;

export type DataPlaneOptions = {
  readonly settings?: Partial<TestSettings>;
  /** 48 bytes; made up where absent. */
  readonly ticketKeys?: Buffer;
  /** Address of the listeners. */
  readonly address?: string;
  /** How many workers share limits; this one is the first of them. */
  readonly workers?: number;
  /** From where connections begin with a PROXY header; an empty list is from everywhere, absence from nowhere. */
  readonly proxyTrusted?: readonly string[];
  /** What is compressed, if anything. */
  readonly compression?: CompressionSettings;
  /** What is counted by Route; absence is Routes and all else, so that every test has it at work. */
  readonly tallies?: TallyScope | null;
  /** Takes the lines of the access log, if there shall be one. */
  readonly accessLines?: AccessLine[];
};

export type LoggedLine = LogFields & { readonly message: string };

export class DataPlane implements AsyncDisposable {
  readonly table: RouteTable = new RouteTable();
  readonly metrics: Metrics = new Metrics();
  readonly lines: LoggedLine[] = [];
  readonly clientLimits: ClientLimits;
  /** The channel to other workers. Nothing is checked before somebody says who they are. */
  readonly peers: Peers = new Peers((topic, json) => this.told.push({ topic, value: JSON.parse(json) }));
  /** What was told to other workers. */
  readonly told: { readonly topic: string; readonly value: JsonValue }[] = [];
  readonly routeLimits: RouteLimits;
  readonly podPlaces: PodPlaces;
  readonly tallies: Tallies | null;
  /** Why each Session ended, in order. */
  readonly endReasons: EndReason[] = [];
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly #rows: RowsByKey = new Map();
  readonly #pool: UpstreamPool;
  readonly #accessLog: AccessLog | null;
  readonly #connector: WatchedConnector;
  readonly #deadlines: WatchedDeadlines = new WatchedDeadlines();
  readonly #terminator: TlsTerminator;
  readonly #checks: HealthChecks;
  readonly #listeners: readonly Listener[];
  readonly #fds: readonly number[];
  readonly #context: ProxyContext;
  readonly #onEnd: Set<() => void> = new Set();

  private constructor(options: DataPlaneOptions) {
    const settings: TestSettings = { ...testSettings, ...options.settings };
    const log = recordingLog(this.lines);
    const { metrics } = this;
    const table = (): RouteTable => this.table;
    this.clientLimits = new ClientLimits(settings, 1, metrics);
    const scope = options.tallies === undefined ? everything : options.tallies;
    this.tallies = scope === null ? null : new Tallies(scope, metrics);
    this.#pool = new UpstreamPool(settings.maxIdleUpstream, this.#deadlines);
    const limits: HeadLimits = {
      maxHeadBytes: settings.maxHeadBytes,
      maxHeaderLines: settings.maxHeaderLines,
      clientHeaders: settings.clientHeaderFilter ? 'dropped' : 'kept',
    };
    const readers = createHeadReaders(limits);
    const health = new EndpointHealth();
    const balancer = new Balancer(0, this.peers, health);
    const checks = new HealthChecks(0, settings, table, health, balancer, this.peers, log, metrics, this.tallies);
    this.#checks = checks;
    this.#connector = new WatchedConnector(this.#pool, settings, this.#deadlines, readers.fields, metrics, (...dial) =>
      checks.dialled(...dial),
    );
    const workers = options.workers ?? 1;
    this.routeLimits = new RouteLimits(0, workers, this.peers);
    this.podPlaces = new PodPlaces(balancer, 0, workers, this.peers);
    health.onChange = () => this.podPlaces.followHealth();
    this.#accessLog =
      options.accessLines === undefined
        ? AccessLog.of(settings, metrics, log, 0, (listener) => this.#openConnections(listener))
        : new RecordingAccessLog(settings, options.accessLines);
    const context: ProxyContext = {
      settings,
      limits,
      clientLimits: this.clientLimits,
      routeLimits: this.routeLimits,
      proxySources: options.proxyTrusted === undefined ? null : new TrustedSources(options.proxyTrusted),
      strictSni: settings.strictSni ? new StrictSni() : null,
      table,
      balancer,
      podPlaces: this.podPlaces,
      connector: this.#connector,
      deadlines: this.#deadlines,
      answers: new AnswerBook(metrics, log),
      compression: options.compression === undefined ? null : new Compression(options.compression, metrics),
      accessLog: this.#accessLog,
      fieldSpellings: spellingsOf(settings.headerSpellings),
      uniqueIds: uniqueIdsOf(settings),
      counters: new ProxyCounters(metrics),
      tallies: this.tallies,
      metrics,
      log,
      draining: false,
    };
    this.#context = context;
    this.#terminator = new TlsTerminator(table, settings, options.ticketKeys ?? randomBytes(48), log, metrics);
    const newSession: NewSession = (listener, socket, onEnd) =>
      new Session(context, readers, this.#terminator, listener, socket, (session, reason) => {
        onEnd(session, reason);
        this.endReasons.push(reason);
        this.#look();
      });
    this.#listeners = [
      new Listener('http', newSession, () => true, metrics),
      new Listener('https', newSession, () => true, metrics),
    ];
    const bound = [0, 0].map(() => new BoundSocket({ host: options.address ?? '127.0.0.1', port: 0 }));
    // A listener closes the descriptor that it was given; the bound socket must not do so a second time when it is
    // collected, because the number may be somebody else's by then.
    keptSockets.push(...bound);
    const [http, https] = bound;
    this.httpPort = http?.address().port ?? 0;
    this.httpsPort = https?.address().port ?? 0;
    this.#fds = bound.map((socket) => socket.fd());
    const made = sharedDefault();
    this.put(certificate('default', made.certificate, made.key), defaultCertificate('default'));
  }

  /** Starts a data plane that serves these entries. */
  static async start(changes: readonly Change[] = [], options: DataPlaneOptions = {}): Promise<DataPlane> {
    const plane = new DataPlane(options);
    plane.put(...changes);
    await Promise.all(plane.#listeners.map((listener, i) => listener.listen(plane.#fds[i] ?? -1)));
    return plane;
  }

  /** Puts entries in force, as a Delta would. */
  put(...changes: readonly Change[]): void {
    this.table.load(changes);
    this.#terminator.followTable();
    this.#checks.followTable();
    this.podPlaces.followTable(this.table);
  }

  /** Other keys for session tickets, as the supervisor sends them. */
  rotateTicketKeys(): void {
    this.#terminator.rotateTicketKeys(randomBytes(48));
  }

  /** Begins its end as a worker does, when every connection without anything under way has been quiet for long enough. */
  drain(): void {
    this.#context.draining = true;
    for (const session of this.#sessions()) session.drain();
    for (const session of this.#sessions()) session.closeIdle();
  }

  #sessions(): Session[] {
    return this.#listeners.flatMap((listener) => [...listener.sessions]);
  }

  /** Sessions open now. */
  get sessions(): number {
    return this.#openConnections(null);
  }

  #openConnections(name: 'http' | 'https' | null): number {
    return this.#listeners
      .filter((listener) => name === null || listener.name === name)
      .reduce((count, listener) => count + listener.sessions.size, 0);
  }

  /** Waits until so many Sessions have ended since the start, and answers why the last of them did. */
  async ended(count = 1): Promise<EndReason> {
    await this.#until(() => this.endReasons.length >= count);
    return this.endReasons[count - 1] ?? 'draining';
  }

  /** Pooled connections to pods. */
  get idleUpstreams(): number {
    return this.#pool.size;
  }

  /** The value of one series; 0 if it was never touched. */
  metric(name: MetricName, ...labels: readonly string[]): number {
    const series = this.metrics.snapshot().find((one) => one.name === name && one.labels.join() === labels.join());
    return series?.values[0] ?? 0;
  }

  /** What has been counted by Route, Endpoint and frontend, as it is now. */
  rows(): RowsByKey {
    for (const rows of this.tallies?.changedRows() ?? []) takeRows(this.#rows, rows);
    return this.#rows;
  }

  /** How many answers of the router's own had this status and reason. */
  answers(status: number, reason: AnswerReason): number {
    return this.metric('headgate_answers_total', reason, String(status));
  }

  /** Ends it, and fails if the test's own clients have left and something of theirs has not. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      this.#look();
    }, leaveMs);
    await this.#until(() => this.sessions === 0 || late);
    clearTimeout(limit);
    const left = {
      sessions: this.sessions,
      deadlines: this.#deadlines.claimed,
      sources: this.clientLimits.sources,
      placesOfRoutes: this.podPlaces.routes,
      handshakes: this.clientLimits.handshakes,
      compressions: this.metric('headgate_compressions'),
      tallied: [...this.rows().values()].reduce(
        (sum, row) => sum + (row[Column.active] ?? 0) + (row[Column.waiting] ?? 0),
        0,
      ),
      busyUpstreams: this.#connector.open - this.#pool.size - this.metric('headgate_upstream_shared_connections'),
    };
    for (const listener of this.#listeners) for (const session of [...listener.sessions]) session.destroy('draining');
    this.#checks.close();
    this.#connector.close();
    this.#deadlines.close();
    await this.#accessLog?.close();
    if (Object.values(left).some((count) => count !== 0)) {
      throw new Error(`left behind: ${JSON.stringify(left)}; ended before: ${this.endReasons.join(' ')}`);
    }
  }

  #look(): void {
    for (const look of [...this.#onEnd]) look();
  }

  #until(fits: () => boolean): Promise<void> {
    if (fits()) return Promise.resolve();
    return new Promise((done) => {
      const look = (): void => {
        if (!fits()) return;
        this.#onEnd.delete(look);
        done();
      };
      this.#onEnd.add(look);
    });
  }
}

const keptSockets: BoundSocket[] = [];

let madeDefault: { readonly certificate: string; readonly key: string } | null = null;

/** One default certificate for all data planes of a test file. */
function sharedDefault(): { readonly certificate: string; readonly key: string } {
  madeDefault ??= makeCertificate({ names: ['*.apps.example.test'] });
  return madeDefault;
}

/** Counts the slots that are held. */
class WatchedDeadlines extends Deadlines {
  claimed = 0;

  override claim(owner: DeadlineOwner): DeadlineSlot {
    this.claimed++;
    return super.claim(owner);
  }

  override release(slot: DeadlineSlot): void {
    this.claimed--;
    super.release(slot);
  }
}

/** Knows every connection that it ever dialled. */
class WatchedConnector extends Connector {
  readonly #dialled: UpstreamConnection[] = [];

  protected override connect(...args: ConstructorParameters<typeof UpstreamConnection>): UpstreamConnection {
    const connection = super.connect(...args);
    this.#dialled.push(connection);
    return connection;
  }

  /** Connections whose socket is not destroyed. */
  get open(): number {
    return this.#dialled.filter((connection) => !connection.socket.destroyed).length;
  }
}

/** Keeps every line in place of writing it. */
class RecordingAccessLog extends AccessLog {
  readonly #lines: AccessLine[];

  constructor(settings: AccessLogSettings, lines: AccessLine[]) {
    super(1, Captures.of(settings), null, null);
    this.#lines = lines;
  }

  override write(line: AccessLine): void {
    this.#lines.push(line);
  }
}

function recordingLog(lines: LoggedLine[]): Log {
  const record = (fields: LogFields, message: string): void => {
    lines.push({ ...fields, message });
  };
  const log: Log = {
    debug: record,
    info: record,
    warn: record,
    error: record,
    with: () => log,
  };
  return log;
}
