// The id that each request is given on its way to a pod (Route semantics 5.4), if the operator wants one.

import { hostname } from 'node:os';
import type { IdPart, IdVariable } from '../../config/id-format.ts';
import { ipv4Bytes, ipv6Bytes, unmapped } from '../../protocol/ip-address.ts';
import type { HeaderAction } from '../../table/header-actions.ts';
import type { AnnouncedConnection } from './connection-ends.ts';

/** The settings of ids: a header name and a format, both empty for none. */
export type IdSettings = { readonly uniqueIdHeader: string; readonly uniqueIdFormat: readonly IdPart[] };

/** Gives ids, one worker's. */
export class UniqueIds {
  readonly #name: string;
  readonly #format: readonly IdPart[];
  #requests = 0;

  constructor({ uniqueIdHeader, uniqueIdFormat }: IdSettings) {
    this.#name = uniqueIdHeader;
    this.#format = uniqueIdFormat;
  }

  /** The next id. */
  next(connection: AnnouncedConnection): string {
    this.#requests++;
    let id = '';
    for (const part of this.#format) {
      id += typeof part === 'string' ? part : this.#written(part.variable, part.base === 'hexadecimal', connection);
    }
    return id;
  }

  /** An id as a header action: what the client says in its place goes. */
  action(id: string): HeaderAction {
    return { name: this.#name, parts: [id] };
  }

  #written(variable: IdVariable, isHexadecimal: boolean, { source, destination }: AnnouncedConnection): string {
    switch (variable) {
      case 'ci':
        return writtenAddress(source.address, isHexadecimal);
      case 'cp':
        return writtenNumber(source.port, isHexadecimal);
      case 'fi':
        return writtenAddress(destination.address, isHexadecimal);
      case 'fp':
        return writtenNumber(destination.port, isHexadecimal);
      case 'Ts':
        return writtenNumber(Math.floor(Date.now() / 1000), isHexadecimal);
      case 'rt':
        return writtenNumber(this.#requests, isHexadecimal);
      case 'pid':
        return writtenNumber(process.pid, isHexadecimal);
      case 'H':
        return hostname();
      case 'ms': {
        const ms = Date.now() % 1000;
        return isHexadecimal ? hexadecimal(ms, 2) : String(ms).padStart(3, '0');
      }
    }
  }
}

/** Both settings are needed; without them null, and no request is given an id. */
export function uniqueIdsOf(settings: IdSettings): UniqueIds | null {
  return settings.uniqueIdHeader === '' || settings.uniqueIdFormat.length === 0 ? null : new UniqueIds(settings);
}

function writtenNumber(number: number, isHexadecimal: boolean): string {
  return isHexadecimal ? hexadecimal(number, 4) : String(number);
}

function hexadecimal(number: number, digits: number): string {
  return number.toString(16).toUpperCase().padStart(digits, '0');
}

/** Two digits a byte. Empty where the connection has gone. */
function writtenAddress(address: string, isHexadecimal: boolean): string {
  const plain = unmapped(address);
  if (!isHexadecimal || plain === '') return plain;
  const bytes = plain.includes(':') ? ipv6Bytes(plain) : ipv4Bytes(plain);
  return Array.from(bytes, (byte) => hexadecimal(byte, 2)).join('');
}
