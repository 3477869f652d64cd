// An access line for tests, of which a case says what matters to it.

import type { AccessLine } from '../../../src/proxy/access-log/access-line.ts';
import type { ConnectionFacts } from '../../../src/proxy/access-log/connection-facts.ts';
import { routeKey } from '../../../src/table/entries.ts';
import { endpoint } from '../../support/rules.ts';

type Facts = Omit<ConnectionFacts, 'name' | 'ready'>;

export const plainFacts: Facts = {
  listener: 'http',
  acceptedAtMs: Date.UTC(2026, 10, 1, 9, 8, 7, 6),
  acceptedMs: 1000,
  clientPort: 51_234,
  address: '10.0.0.1',
  port: 80,
  frontend: 'public',
  handshakeMs: 0,
  tlsVersion: '',
  tlsCipher: '',
  requests: 1,
  idleSinceMs: 1000,
};

export const tlsFacts: Facts = {
  ...plainFacts,
  listener: 'https',
  port: 443,
  frontend: 'fe_sni',
  handshakeMs: 4.2,
  tlsVersion: 'TLSv1.3',
  tlsCipher: 'TLS_AES_256_GCM_SHA384',
};

/** A request that was forwarded and answered, unless the case says otherwise. */
export function accessLine(wish: Partial<AccessLine> = {}, facts: Facts = plainFacts): AccessLine {
  const pod = { ...endpoint(8080, '10.1.0.7'), id: 'pod:shop-1:shop:http:10.1.0.7:8080' };
  return {
    connection: facts as ConnectionFacts,
    client: '192.0.2.1',
    scheme: 'http',
    method: 'GET',
    target: '/a/b?c=d',
    host: 'www.example.test',
    httpVersion: '1.1',
    status: 200,
    route: routeKey('shop', 'front'),
    termination: 'none',
    pick: {
      endpoint: pod,
      backend: {
        id: 'shop/shop:http' as never,
        namespace: 'shop',
        service: 'shop',
        endpoints: [pod],
        leaving: [],
        idled: false,
      },
    },
    beganAtMs: facts.acceptedAtMs + 1500,
    handshakeMs: 0,
    idleMs: 10.9,
    headMs: 1,
    queueMs: 0,
    connectMs: 2.5,
    firstByteMs: 20.7,
    totalMs: 30.2,
    receivedBytes: 150,
    sentBytes: 2750,
    retries: 0,
    endpointRequests: 3,
    uniqueId: '',
    serial: 17,
    end: 'forwarded',
    terminationState: '--',
    cookieState: '--',
    request: null,
    response: null,
    ...wish,
  };
}
