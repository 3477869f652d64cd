// Where ROUTER_SYSLOG_ADDRESS leads.

/** `unix`: a datagram socket, or a stream socket where that is what is there. */
export type SyslogTarget =
  | { readonly kind: 'udp' | 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** What HAProxy takes where no port is named. */
const usualPort = 514;
/** What `sun_path` holds beside its end. */
const maxPathBytes = 107;

const forms = 'neither host:port (UDP), tcp://host:port nor the path of a UNIX socket';

/** The target that a text names, or what is wrong with it. IPv6 addresses stand in brackets. */
export function readSyslogAddress(text: string): SyslogTarget | string {
  if (text.startsWith('/')) {
    if (Buffer.byteLength(text) > maxPathBytes) return `is longer than ${maxPathBytes} bytes`;
    return { kind: 'unix', path: text };
  }
  const kind = text.startsWith('tcp://') ? 'tcp' : 'udp';
  const [, bracketed, named, digits] =
    /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(kind === 'tcp' ? text.slice(6) : text) ?? [];
  const host = bracketed ?? named;
  if (host === undefined) return `is ${forms}`;
  const port = digits === undefined ? usualPort : Number(digits);
  if (port < 1 || port > 65_535) return `has no port that there is (1 to 65535)`;
  return { kind, host, port };
}
