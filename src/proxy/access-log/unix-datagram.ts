// Datagrams to a UNIX socket, which is how syslog daemons listen and what Node has no class for: libc is called by node:ffi.
// Calls never wait. Where this Node has no such door there is none here either.

import type { FunctionDefinitions } from 'node:ffi';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

// Numbers of Linux, on every machine that Node is built for.
const EAGAIN = 11;
const EMSGSIZE = 90;
const EPROTOTYPE = 91;
const ENOBUFS = 105;

const signatures = {
  socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
  connect: { arguments: ['int32', 'buffer', 'uint32'], return: 'int32' },
  send: { arguments: ['int32', 'buffer', 'uint64', 'int32'], return: 'int64' },
  close: { arguments: ['int32'], return: 'int32' },
  __errno_location: { arguments: [], return: 'pointer' },
} as const satisfies FunctionDefinitions;

/** The five functions that are called. */
type Calls = {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly connect: (fd: number, address: Buffer, length: number) => number;
  readonly send: (fd: number, bytes: Buffer, length: bigint, flags: number) => bigint;
  readonly close: (fd: number) => number;
  readonly errno: () => number;
};

let calls: Calls | null | undefined;

/** What became of a datagram. `full`: the reader is slow; `refused`: it is too long; `gone`: there is no reader. */
export type DatagramResult = 'sent' | 'full' | 'refused' | 'gone';

export class UnixDatagram {
  readonly #calls: Calls;
  #fd: number;

  private constructor(functions: Calls, fd: number) {
    this.#calls = functions;
    this.#fd = fd;
  }

  /**
   * A socket that is connected to the one at `path`. `stream`: that is a stream socket. `absent`: nobody listens there now.
   * `unsupported`: this Node cannot. `path` has 107 bytes at most.
   */
  static open(path: string): UnixDatagram | 'stream' | 'absent' | 'unsupported' {
    calls ??= load();
    if (calls === null) return 'unsupported';
    const fd = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return 'absent';
    const address = addressOf(path);
    if (calls.connect(fd, address, address.length) === 0) return new UnixDatagram(calls, fd);
    const errno = calls.errno();
    calls.close(fd);
    return errno === EPROTOTYPE ? 'stream' : 'absent';
  }

  send(bytes: Buffer): DatagramResult {
    if (this.#fd < 0) return 'gone';
    if (this.#calls.send(this.#fd, bytes, BigInt(bytes.length), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0n) return 'sent';
    switch (this.#calls.errno()) {
      case EAGAIN:
      case ENOBUFS:
        return 'full';
      case EMSGSIZE:
        return 'refused';
      default:
        return 'gone';
    }
  }

  close(): void {
    if (this.#fd >= 0) this.#calls.close(this.#fd);
    this.#fd = -1;
  }
}

/** `struct sockaddr_un`. */
function addressOf(path: string): Buffer {
  const bytes = Buffer.from(path);
  const address = Buffer.alloc(2 + bytes.length + 1);
  new Uint16Array(address.buffer, address.byteOffset, 1)[0] = AF_UNIX;
  bytes.copy(address, 2);
  return address;
}

function load(): Calls | null {
  try {
    const ffi = process.getBuiltinModule('node:ffi');
    const { socket, connect, send, close, __errno_location } = ffi.dlopen(null, signatures).functions;
    return { socket, connect, send, close, errno: () => ffi.getInt32(__errno_location(), 0) };
  } catch {
    return null;
  }
}
