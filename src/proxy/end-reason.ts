// Why a Session ended. One closed list; logs and metrics use these words, and a word never changes its meaning.

export type Side = 'downstream' | 'upstream' | 'router';

/** Every reason, with the side that it lies on. */
export const endReasons = {
  /** The client closed, and nothing of its was under way. */
  'client-closed': 'downstream',
  /** The client went away while a request or a tunnel of its was under way. */
  'client-aborted': 'downstream',
  /** Nothing came for the keep-alive time between two requests. */
  'client-idle': 'downstream',
  /** The client stopped sending, or reading, in the middle of something. */
  'client-timeout': 'downstream',
  /** A request was refused as malformed or beyond a limit. */
  'request-refused': 'downstream',
  /** A connection that has to begin with a PROXY header did not, ... */
  'proxy-header-missing': 'downstream',
  /** ... or with one that cannot be read or breaks off, ... */
  'proxy-header-malformed': 'downstream',
  /** ... or is longer than any sender needs, ... */
  'proxy-header-too-long': 'downstream',
  /** ... or was not whole in time. */
  'proxy-header-timeout': 'downstream',
  /** Another connection is needed, whose handshake asks for client certificates otherwise. */
  'other-client-policy': 'router',
  'not-tls': 'downstream',
  'hello-timeout': 'downstream',
  'handshake-failed': 'downstream',
  'handshake-timeout': 'downstream',
  /** An answer said `Connection: close`, and has been sent. */
  'answered-and-closed': 'router',
  /** The Route of a passthrough connection does not let this source in. */
  'source-not-allowed': 'downstream',
  /** Its source had asked more of the Route of a passthrough connection than that lets through. */
  'rate-limited': 'router',
  /** The pods of a passthrough Route had as many connections as they take, and none became free in time. */
  'pods-busy': 'router',
  /** Its source had as many connections, or handshakes, as it may. */
  'source-limit': 'router',
  /** The worker had as many handshakes under way as it may. */
  'handshake-limit': 'router',
  draining: 'router',
  /** Only names of Routes are served, and the client asked for another one, or for none. */
  'unrecognized-name': 'downstream',
  'no-certificate': 'router',
  /** The CA by which clients have to be verified cannot be used: nobody is served without it. */
  'no-client-authority': 'router',
  'no-endpoint': 'router',
  /** All pods of a passthrough Route have failed their checks. */
  'endpoints-down': 'upstream',
  'connect-failed': 'upstream',
  /** The upstream broke off in the middle of an answer. */
  'upstream-truncated': 'upstream',
  'upstream-timeout': 'upstream',
  /** A tunnel ended in order, both ways. */
  'tunnel-closed': 'upstream',
  'tunnel-idle': 'router',
} as const;
endReasons satisfies Record<string, Side>;

export type EndReason = keyof typeof endReasons;
