// Which process holds which connection, as the kernel tells it in /proc.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const ESTABLISHED = '01';

/** Inodes of the established connections to a local port, read from the text of `/proc/net/tcp` (proc(5)). */
export function inodesOfPort(table: string, port: number): ReadonlySet<string> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set<string>();
  for (const line of table.split('\n').slice(1)) {
    const fields = line.trim().split(/ +/);
    const inode = fields[9];
    if (inode !== undefined && fields[1]?.endsWith(local) && fields[3] === ESTABLISHED) inodes.add(inode);
  }
  return inodes;
}

/** How many connections that came to a local port each of these processes holds, in their order. */
export function connectionsOf(pids: readonly number[], port: number): readonly number[] {
  const inodes = inodesOfPort(readFileSync('/proc/net/tcp', 'latin1'), port);
  return pids.map((pid) => {
    const links = readdirSync(`/proc/${pid}/fd`).map((descriptor) => linkOf(`/proc/${pid}/fd/${descriptor}`));
    return links.filter((link) => inodes.has(link.slice('socket:['.length, -1))).length;
  });
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // Closed between the listing and the reading.
    return '';
  }
}
