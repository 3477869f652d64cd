// ROUTER_STRICT_SNI: who gets a certificate, and who an alert (Route semantics 4.2; observed 36).

import { expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { certificate, certificateId, defaultCertificate, route } from '../support/rules.ts';

const own = makeCertificate({ names: ['own.test'] });
const wild = makeCertificate({ names: ['*.wild.test'] });
const alert = 'unrecognized_name';

/** The status that a client gets who opens TLS for a name and asks for a Host, or the alert. */
async function outcome(plane: DataPlane, servername: string | undefined, host: string): Promise<number | string> {
  try {
    using client = await Peer.connectTls(plane.httpsPort, servername === undefined ? {} : { servername });
    await client.write(getRequest(host));
    const { status } = await client.message();
    client.finish();
    await client.ended;
    return status;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error;
    if (code === 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME') return alert;
    throw error;
  }
}

async function serve(pod: Pod): Promise<DataPlane> {
  const edge = { pods: [pod.port], termination: 'edge' } as const;
  return await DataPlane.start(
    [
      certificate('own', own.certificate, own.key),
      certificate('wild', wild.certificate, wild.key),
      ...route({ ...edge, host: 'own.test', certificate: certificateId('own') }),
      ...route({ ...edge, host: '*.wild.test', certificate: certificateId('wild') }),
      ...route({ ...edge, host: 'below.wild.test' }),
      ...route({ ...edge, host: 'default.test' }),
      ...route({ ...edge, host: 'shop.apps.example.test' }),
      ...route({ host: 'plain.test', pods: [pod.port] }),
    ],
    { settings: { strictSni: true } },
  );
}

test.each<[string, string | undefined, string, number | string]>([
  ['a name of no Route', 'no.test', 'own.test', alert],
  ['a Route on the default certificate', 'default.test', 'default.test', alert],
  ['a Route without TLS', 'plain.test', 'plain.test', alert],
  ['no name of a host', 'a_b.test', 'own.test', alert],
  ['a Route with a certificate', 'own.test', 'own.test', 200],
  ['the same in upper case', 'OWN.test', 'own.test', 200],
  ['a wildcard Route with a certificate', 'any.wild.test', 'any.wild.test', 200],
  ['a Route beneath it', 'below.wild.test', 'below.wild.test', 200],
  ['a name of the default certificate, no Route', 'any.apps.example.test', 'any.apps.example.test', 503],
  ['a name of the default certificate, with a Route', 'shop.apps.example.test', 'shop.apps.example.test', 200],
  ['a name two labels below it', 'a.b.apps.example.test', 'own.test', alert],
  ['no name at all', undefined, 'default.test', 200],
])('%s', async (_title, servername, host, expected) => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await serve(pod);
  expect(await outcome(plane, servername, host)).toBe(expected);
  expect(await plane.ended()).toBe(expected === alert ? 'unrecognized-name' : 'client-closed');
});

test('passthrough connections are none of it', async () => {
  const made = makeCertificate({ names: ['pod.test'] });
  await using pod = await Pod.start(answering(ok('hello')), { cert: made.certificate, key: made.key });
  await using plane = await DataPlane.start(
    route({ host: 'through.test', pods: [pod.port], termination: 'passthrough' }),
    { settings: { strictSni: true } },
  );
  expect(await outcome(plane, 'through.test', 'through.test')).toBe(200);
});

test('another default certificate brings its names with it', async () => {
  const other = makeCertificate({ names: ['default.test'] });
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await serve(pod);
  expect(await outcome(plane, 'default.test', 'default.test')).toBe(alert);
  plane.put(certificate('other', other.certificate, other.key), defaultCertificate('other'));
  expect(await outcome(plane, 'default.test', 'default.test')).toBe(200);
  expect(await outcome(plane, 'any.apps.example.test', 'own.test')).toBe(alert);
});
