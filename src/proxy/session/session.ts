// One client connection, from accept to close. Behind a balancer: its PROXY header first. On the TLS port: gather the
// ClientHello, ask the table, hand the socket to passthrough or to TLS and HTTP. On the plain port: HTTP from the start. Ends
// exactly once, with one EndReason.

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { maxHelloBytes, readClientHello } from '../../protocol/client-hello.ts';
import { GatheredBytes } from '../../protocol/gathered-bytes.ts';
import { type Host, parseHost } from '../../table/host.ts';
import { ConnectionFacts } from '../access-log/connection-facts.ts';
import { connectionLine } from '../access-log/connection-line.ts';
import type { ProxyContext } from '../context.ts';
import type { DeadlineOwner, DeadlineSlot } from '../deadlines.ts';
import type { EndReason } from '../end-reason.ts';
import type { HandshakeHolder, SourceKey } from '../listener/client-limits.ts';
import { RouteVisits } from '../listener/route-limits.ts';
import { handOn, takeFrom } from '../shared-read.ts';
import type { FrontendName } from '../tallies/tallies.ts';
import type { Tally } from '../tallies/tally.ts';
import type { ClientFacts } from './client-certificate.ts';
import { AnnouncedConnection, type NamedEnds, peerAddress } from './connection-ends.ts';
import { ForwardedHeaders } from './forwarded-headers.ts';
import { type HeadReaders, HttpConnection } from './http-connection.ts';
import { Http2Connection } from './http2-connection.ts';
import { Passthrough } from './passthrough.ts';
import { ProxyPrelude } from './proxy-prelude.ts';
import type { HandshakeUser, TlsTerminator } from './tls.ts';

/** Five bytes of record header for each of the records that a hello may be split into. */
const maxPeekBytes = maxHelloBytes + 32 * 5;

const nothing: Buffer = Buffer.alloc(0);

/** The fatal alert `unrecognized_name` (RFC 6066 3) in a record of its own: all that a refused hello gets to read. */
const unrecognizedName: Buffer = Buffer.from('15030300020270', 'hex');

export type ListenerName = 'http' | 'https';

export class Session implements DeadlineOwner, HandshakeUser, HandshakeHolder {
  readonly #context: ProxyContext;
  readonly #readers: HeadReaders;
  readonly #socket: Socket;
  readonly #listener: ListenerName;
  /** The client's address: the peer's, until a PROXY header says otherwise. */
  #client: string;
  #named: NamedEnds | null = null;
  /** Null where no access log is written. */
  readonly #facts: ConnectionFacts | null;
  /** Under what the connection is counted; null while, or where, it is not. */
  #source: SourceKey | null = null;
  /** Of its listener, and of what its TLS ends in; null where frontends are not counted. */
  readonly #frontend: Tally | null;
  #tlsFrontend: Tally | null = null;
  readonly #onEnd: (session: Session, reason: EndReason) => void;
  readonly #terminator: TlsTerminator;
  #peek: GatheredBytes | null = null;
  #needBytes = 0;
  #slot: DeadlineSlot | null = null;
  readonly #visits: RouteVisits;
  #stage: ProxyPrelude | HttpConnection | Http2Connection | Passthrough | null = null;
  /** The name that the client opened TLS for, if it is one. */
  #serverName: Host | undefined;
  #handshaking = false;
  #over = false;
  readonly #onPeeked = (chunk: Buffer): boolean => this.#peeked(chunk);
  readonly #onPeekEnd = (): void => this.#end(this.#peek?.length === 0 ? 'client-closed' : 'not-tls');
  readonly #onStageEnd = (reason: EndReason): void => this.#end(reason);
  readonly #onRawClose = (): void => this.#end(this.#handshaking ? 'handshake-failed' : 'client-closed');

  /** `onEnd` is called exactly once; within the constructor if the client's source holds as much as it may. */
  constructor(
    context: ProxyContext,
    readers: HeadReaders,
    terminator: TlsTerminator,
    listener: ListenerName,
    socket: Socket,
    onEnd: (session: Session, reason: EndReason) => void,
  ) {
    this.#context = context;
    this.#readers = readers;
    this.#terminator = terminator;
    this.#socket = socket;
    this.#listener = listener;
    this.#client = peerAddress(socket);
    this.#onEnd = onEnd;
    this.#visits = new RouteVisits(context.routeLimits);
    this.#facts = context.accessLog === null ? null : new ConnectionFacts(listener, socket);
    this.#frontend = this.#enter(listener === 'http' ? 'public' : 'public_ssl');
    if (context.proxySources?.has(this.#client) === true) this.#startPrelude();
    else this.#start(nothing);
  }

  /** Whether it has ended. */
  get over(): boolean {
    return this.#over;
  }

  /** For how long nothing has been under way on it, in ms; 0 if something is. */
  idleForMs(): number {
    return this.#http?.idleForMs() ?? 0;
  }

  /** Tells the client, where its protocol has a word for it, that the connection is to end soon. */
  drain(): void {
    if (this.#stage instanceof Http2Connection) this.#stage.drain();
  }

  /** Ends an idle connection in order. */
  closeIdle(): void {
    this.#http?.closeIdle();
  }

  get #http(): HttpConnection | Http2Connection | null {
    const stage = this.#stage;
    return stage instanceof HttpConnection || stage instanceof Http2Connection ? stage : null;
  }

  /** Ends at once, whatever is under way. */
  destroy(reason: EndReason): void {
    if (this.#stage === null) this.#end(reason);
    else this.#stage.destroy(reason);
  }

  onDeadline(): void {
    this.#end(this.#handshaking ? 'handshake-timeout' : 'hello-timeout');
  }

  onSecure(socket: TLSSocket, client: ClientFacts | null): void {
    if (this.#over) {
      socket.destroy();
      return;
    }
    this.#endHandshake();
    this.#releaseSlot();
    this.#socket.removeListener('close', this.#onRawClose);
    this.#startHttp(socket, 'https', client);
  }

  onHandshakeFailed(code: string): void {
    this.#context.log.debug({ client: this.#client, code }, 'TLS handshake failed');
    this.#end(code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'handshake-timeout' : 'handshake-failed');
  }

  cutHandshake(): void {
    this.#end('handshake-limit');
  }

  #enter(name: FrontendName): Tally | null {
    const frontend = this.#context.tallies?.frontend(name) ?? null;
    frontend?.begin(this.#context.deadlines.nowMs);
    return frontend;
  }

  #startPrelude(): void {
    this.#stage = new ProxyPrelude(
      this.#context,
      this.#socket,
      (header, rest) => {
        this.#stage = null;
        this.#named = header;
        this.#facts?.name(header);
        this.#client = header.source?.address ?? this.#client;
        this.#start(rest);
      },
      (reason) => this.#end(reason),
    );
  }

  /** Whoever the client is, it is known by now. `rest`: bytes of its own that have been read. */
  #start(rest: Buffer): void {
    const { clientLimits } = this.#context;
    const source = clientLimits.sourceOf(this.#client);
    if (!clientLimits.mayConnect(source, this.#listener)) {
      this.#end('source-limit');
      return;
    }
    this.#source = source;
    if (this.#listener === 'http') {
      this.#startHttp(this.#socket, 'http', null);
      handOn(this.#socket, rest);
    } else {
      this.#startPeek();
      if (rest.length > 0) this.#peeked(rest);
    }
  }

  #startHttp(socket: Socket, scheme: 'http' | 'https', certified: ClientFacts | null): void {
    const { settings } = this.#context;
    const port =
      this.#named?.destination?.port ?? (scheme === 'http' ? settings.publicHttpPort : settings.publicHttpsPort);
    const tls = socket instanceof TLSSocket ? socket : null;
    const isHttp2 = tls?.alpnProtocol === 'h2';
    this.#facts?.ready(tls, this.#serverName !== undefined);
    const announced = new AnnouncedConnection(this.#socket, this.#named);
    const version = isHttp2 ? 'h2' : null;
    const forwarded = new ForwardedHeaders(this.#client, scheme, port, version, certified, announced);
    if (isHttp2) {
      this.#startHttp2(socket, scheme, forwarded, null);
      return;
    }
    // Over TLS a client says by ALPN that it speaks HTTP/2.
    const onHttp2 = scheme === 'https' ? null : (first: Buffer) => this.#startHttp2(socket, scheme, forwarded, first);
    this.#stage = new HttpConnection(
      this.#context,
      this.#readers,
      socket,
      scheme,
      this.#client,
      this.#facts,
      this.#tlsFrontend ?? this.#frontend,
      forwarded,
      this.#visits,
      onHttp2,
      this.#onStageEnd,
    );
  }

  #startHttp2(socket: Socket, scheme: 'http' | 'https', forwarded: ForwardedHeaders, first: Buffer | null): void {
    this.#stage = new Http2Connection(
      this.#context,
      this.#readers,
      socket,
      scheme,
      this.#client,
      this.#facts,
      this.#tlsFrontend ?? this.#frontend,
      forwarded,
      this.#visits,
      this.#serverName,
      first,
      this.#onStageEnd,
    );
  }

  #startPeek(): void {
    const { deadlines, settings } = this.#context;
    this.#peek = new GatheredBytes();
    this.#slot = deadlines.claim(this);
    deadlines.set(this.#slot, settings.inspectDelayMs);
    takeFrom(this.#socket, this.#onPeeked);
    this.#socket.on('end', this.#onPeekEnd);
    this.#socket.on('close', this.#onRawClose);
    this.#socket.on('error', ignoreError);
  }

  /** Gathers the hello; keeps the bytes, so it is never done with them. */
  #peeked(chunk: Buffer): boolean {
    const peek = this.#peek;
    if (peek === null) return false;
    const bytes = peek.append(chunk);
    if (bytes.length < this.#needBytes) return false;
    const hello = readClientHello(bytes);
    if (hello.kind === 'incomplete' && bytes.length < maxPeekBytes) this.#needBytes = hello.needBytes;
    else if (hello.kind === 'hello') this.#greeted(hello.serverName, bytes);
    else this.#end('not-tls');
    return false;
  }

  /** All of the hello has come. `bytes`: the hello, and what came with it. */
  #greeted(serverName: string | undefined, bytes: Buffer): void {
    this.#socket.pause();
    this.#socket.removeListener('data', this.#onPeeked);
    this.#socket.removeListener('end', this.#onPeekEnd);
    this.#peek = null;
    const host = serverName === undefined ? undefined : parseHost(serverName);
    this.#serverName = host;
    const match = this.#context.table().matchTls(host);
    if (match.kind === 'passthrough') {
      this.#releaseSlot();
      this.#socket.removeListener('close', this.#onRawClose);
      this.#stage = new Passthrough(
        this.#context,
        this.#socket,
        match.rule,
        this.#client,
        this.#facts,
        this.#frontend,
        this.#visits,
        new AnnouncedConnection(this.#socket, this.#named),
        serverName ?? '',
        bytes,
        this.#onStageEnd,
      );
      return;
    }
    const { settings, strictSni } = this.#context;
    const isRefused = match.kind === 'unknown' && settings.refuseUnknownNames;
    if (isRefused || strictSni?.refuses(serverName, this.#context.table()) === true) {
      this.#socket.write(unrecognizedName);
      this.#end('unrecognized-name');
      return;
    }
    if (match.certificate === null) {
      this.#end('no-certificate');
      return;
    }
    const { clientLimits, deadlines } = this.#context;
    const place = clientLimits.beginHandshake(this, this.#source, deadlines.nowMs);
    if (place !== 'begun') {
      this.#end(place);
      return;
    }
    this.#handshaking = true;
    this.#tlsFrontend = this.#enter(host === undefined ? 'fe_no_sni' : 'fe_sni');
    if (this.#slot !== null) deadlines.set(this.#slot, settings.headTimeoutMs);
    this.#socket.unshift(bytes);
    if (!this.#terminator.secure(this.#socket, match.clientAuth, this)) this.#end('no-client-authority');
  }

  #endHandshake(): void {
    if (!this.#handshaking) return;
    this.#handshaking = false;
    this.#context.clientLimits.endHandshake(this, this.#source);
  }

  #releaseSlot(): void {
    if (this.#slot === null) return;
    this.#context.deadlines.release(this.#slot);
    this.#slot = null;
  }

  /** Tells of a connection that ended before anybody took it over. */
  #tellUnserved(reason: EndReason): void {
    const { accessLog, settings } = this.#context;
    if (accessLog === null || this.#facts === null) return;
    if (this.#stage !== null && !(this.#stage instanceof ProxyPrelude)) return;
    if (settings.dontLogNull && this.#socket.bytesRead === 0) return;
    if (accessLog.sampled()) accessLog.write(connectionLine(this.#facts, this.#client, reason, accessLog.serial));
  }

  #end(reason: EndReason): void {
    if (this.#over) return;
    this.#over = true;
    this.#endHandshake();
    this.#releaseSlot();
    this.#context.clientLimits.disconnected(this.#source);
    this.#visits.leave();
    this.#frontend?.end();
    this.#tlsFrontend?.end();
    this.#tellUnserved(reason);
    if (this.#stage === null) this.#socket.destroy();
    this.#context.counters.ended(reason);
    this.#onEnd(this, reason);
  }
}

function ignoreError(): void {
  // 'close' follows and ends the Session.
}
