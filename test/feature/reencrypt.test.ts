// TLS to the pod: who is trusted, what the pod is told, and which connections are shared.

import type { TlsOptions } from 'node:tls';
import { describe, expect, test } from 'vitest';
import type { Change } from '../../src/table/delta.ts';
import type { UpstreamTls } from '../../src/table/entries.ts';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { DataPlane } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { certificate, certificateId, hostWithRoutes, route } from '../support/rules.ts';

const trusted = makeAuthority({ name: 'trusted' });
const other = makeAuthority({ name: 'other' });
const dayMs = 86_400_000;

/** What pods present. The Service of the Routes below is `pay` in the namespace `shop`. */
const pods = {
  service: makeCertificate({ names: ['pay.shop.svc'], issuer: trusted }),
  upperCase: makeCertificate({ names: ['x.test', 'PAY.shop.svc'], issuer: trusted }),
  foreignName: makeCertificate({ names: ['else.shop.svc'], issuer: trusted }),
  wildcard: makeCertificate({ names: ['*.shop.svc'], issuer: trusted }),
  expired: makeCertificate({ names: ['pay.shop.svc'], issuer: trusted, notAfter: new Date(Date.now() - dayMs / 2) }),
  untimely: makeCertificate({ names: ['pay.shop.svc'], issuer: trusted, notBefore: new Date(Date.now() + dayMs) }),
  byOther: makeCertificate({ names: ['pay.shop.svc'], issuer: other }),
  selfSigned: makeCertificate({ names: ['pay.shop.svc'], issuer: 'self' }),
  forClients: makeCertificate({ names: ['pay.shop.svc'], issuer: trusted, clientAuth: true }),
} as const;

function tlsOf(name: keyof typeof pods): TlsOptions {
  return { cert: pods[name].certificate, key: pods[name].key };
}

const authorities: readonly Change[] = [
  certificate('trusted', trusted.certificate, null),
  certificate('other', other.certificate, null),
];

const ownCa: UpstreamTls = { verify: 'chain', authority: certificateId('trusted') };
const defaultCa: UpstreamTls = { verify: 'service', authority: certificateId('trusted') };
const noCheck: UpstreamTls = { verify: 'none', authority: null };

function reencrypt(host: string, port: number, upstreamTls: UpstreamTls): Change[] {
  return route({ host, services: [{ service: 'pay', pods: [port] }], termination: 'reencrypt', upstreamTls });
}

describe('verification (Route semantics 5.15)', () => {
  test.each<[string, UpstreamTls, keyof typeof pods, number]>([
    ['own CA', ownCa, 'service', 200],
    ['own CA, the name is not looked at', ownCa, 'foreignName', 200],
    ['own CA, the wrong one', { ...ownCa, authority: certificateId('other') }, 'service', 503],
    ['own CA, the other right one', { ...ownCa, authority: certificateId('other') }, 'byOther', 200],
    ['own CA, expired', ownCa, 'expired', 503],
    ['own CA, not valid yet', ownCa, 'untimely', 503],
    ['own CA, signed by itself', ownCa, 'selfSigned', 503],
    ['own CA, not for servers', ownCa, 'forClients', 503],
    ['default CA, the name fits', defaultCa, 'service', 200],
    ['default CA, the name fits but for case', defaultCa, 'upperCase', 200],
    ['default CA, another name', defaultCa, 'foreignName', 503],
    ['default CA, a wildcard', defaultCa, 'wildcard', 503],
    ['default CA, signed by another', defaultCa, 'byOther', 503],
    ['default CA, expired', defaultCa, 'expired', 503],
    ['not verified, signed by another', noCheck, 'byOther', 200],
    ['not verified, signed by itself', noCheck, 'selfSigned', 200],
    ['not verified, expired', noCheck, 'expired', 200],
  ])('%s', async (_name, upstreamTls, presented, status) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hello'), seen), tlsOf(presented));
    await using plane = await DataPlane.start([...authorities, ...reencrypt('r.test', pod.port, upstreamTls)]);
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'r.test' });
    // Twice: what the first handshake left behind must not make the second one laxer.
    for (let i = 0; i < 2; i++) {
      await client.write(getRequest('r.test'));
      const answer = await client.message();
      expect(answer.status).toBe(status);
      if (status === 503) expect(answer.body.toString()).toContain('connect-failed');
    }
    expect(seen).toHaveLength(status === 200 ? 2 : 0);
    expect(plane.metric('headgate_upstream_connects_total', 'tls-failed')).toBe(status === 200 ? 0 : 2);
  });
});

describe('what does not speak as expected', () => {
  test.each([
    ['a pod that speaks no TLS', 'reencrypt', 503],
    ['an edge Route to a pod that speaks TLS', 'edge', 502],
  ] as const)('%s', async (_name, termination, status) => {
    const answer400 = answering('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
    await using pod = await Pod.start(
      async (peer, nth) => {
        if (termination === 'edge') return await answer400(peer, nth);
        await peer.untilBytes(1);
        await peer.write('HTTP/1.1 400 Bad Request\r\n\r\n');
      },
      termination === 'edge' ? tlsOf('service') : null,
    );
    await using plane = await DataPlane.start(route({ host: 'r.test', pods: [pod.port], termination }));
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'r.test' });
    await client.write(getRequest('r.test'));
    expect((await client.message()).status).toBe(status);
  });

  test('a pod that accepts and never answers the handshake: 503 after the connect timeout', async () => {
    await using pod = await Pod.start();
    await using plane = await DataPlane.start(reencrypt('r.test', pod.port, noCheck), {
      settings: { connectTimeoutMs: 100 },
    });
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'r.test' });
    await client.write(getRequest('r.test'));
    expect((await client.message()).status).toBe(503);
    expect(plane.metric('headgate_upstream_connects_total', 'timeout')).toBe(1);
    await (await pod.connection(0)).ended;
  });
});

test.each([
  ['r.test', 'R.Test', 'r.test'],
  ['a host with a port', 'r.test:8443', 'r.test'],
  ['another host than the SNI of the client', 's.test', 's.test'],
])('the pod is told the Host of the request as SNI: %s', async (_name, host, expected) => {
  await using pod = await Pod.start(answering(ok('hello')), tlsOf('service'));
  await using plane = await DataPlane.start([
    ...authorities,
    ...reencrypt('r.test', pod.port, ownCa),
    ...reencrypt('s.test', pod.port, ownCa),
  ]);
  using client = await Peer.connectTls(plane.httpsPort, { servername: 'r.test' });
  await client.write(getRequest(host));
  expect((await client.message()).status).toBe(200);
  const upstream = await pod.connection(0);
  expect(upstream.tls.servername).toBe(expected);
  expect(upstream.tls.alpnProtocol).toBe(false);
});

describe('kept connections', () => {
  test('are used again for the same host, and for no other one', async () => {
    await using pod = await Pod.start(answering(ok('hello')), tlsOf('service'));
    await using plane = await DataPlane.start([
      ...authorities,
      ...reencrypt('a.test', pod.port, ownCa),
      ...reencrypt('b.test', pod.port, ownCa),
    ]);
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'a.test' });
    for (const host of ['a.test', 'b.test', 'a.test', 'b.test']) {
      await client.write(getRequest(host));
      expect((await client.message()).status).toBe(200);
    }
    const names = pod.connections.map((peer) => peer.tls.servername);
    expect(names).toEqual(['a.test', 'b.test']);
  });

  test('a connection that one Route took unverified proves nothing to another', async () => {
    await using pod = await Pod.start(answering(ok('hello')), tlsOf('byOther'));
    const services = [{ service: 'pay', pods: [pod.port] }];
    const both = { host: 'a.test', services, termination: 'reencrypt' } as const;
    await using plane = await DataPlane.start([
      ...authorities,
      ...hostWithRoutes('a.test', [
        { ...both, name: 'strict', path: '/strict', upstreamTls: defaultCa },
        { ...both, name: 'own', path: '/own', upstreamTls: ownCa },
        { ...both, name: 'lax', upstreamTls: noCheck },
      ]),
    ]);
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'a.test' });
    const statuses: number[] = [];
    for (const path of ['/lax', '/strict', '/own', '/lax']) {
      await client.write(getRequest('a.test', path));
      statuses.push((await client.message()).status);
    }
    expect(statuses).toEqual([200, 503, 503, 200]);
  });

  test('the next handshake with the same pod resumes', async () => {
    const resumed: boolean[] = [];
    const closing = answering(ok('hello', 'Connection: close\r\n'));
    await using pod = await Pod.start((peer, nth) => {
      resumed.push(peer.tls.isSessionReused());
      return closing(peer, nth);
    }, tlsOf('service'));
    await using plane = await DataPlane.start([...authorities, ...reencrypt('a.test', pod.port, ownCa)]);
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'a.test' });
    for (let i = 0; i < 2; i++) {
      await client.write(getRequest('a.test'));
      expect((await client.message()).status).toBe(200);
    }
    expect(resumed).toEqual([false, true]);
  });
});
