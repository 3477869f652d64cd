// Making certificates: the self-signed default one, and those of the demo. The only place in the product that does.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import forge from 'node-forge';

export type MadeCertificate = { readonly certificate: string; readonly key: string };

export type CertificateWish = {
  readonly commonName: string;
  /** DNS names; none for an authority. */
  readonly names: readonly string[];
  readonly days: number;
  /** Self-signed where absent. */
  readonly issuer?: MadeCertificate;
  readonly authority?: boolean;
};

const dayMs = 86_400_000;

/** An RSA-2048 certificate, valid from an hour ago so that clocks may differ. */
export function makeCertificate(wish: CertificateWish): MadeCertificate {
  // OpenSSL makes the key: forge's own takes seconds.
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = randomSerial();
  certificate.validity.notBefore = new Date(Date.now() - dayMs / 24);
  certificate.validity.notAfter = new Date(Date.now() + wish.days * dayMs);
  const subject = [{ name: 'commonName', value: wish.commonName }];
  const issuer = wish.issuer === undefined ? null : forge.pki.certificateFromPem(wish.issuer.certificate);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer === null ? subject : issuer.subject.attributes);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: wish.authority === true, critical: true },
    wish.authority === true
      ? { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true }
      : { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    ...(wish.authority === true ? [] : [{ name: 'extKeyUsage', serverAuth: true }]),
    ...(wish.names.length === 0
      ? []
      : [{ name: 'subjectAltName', altNames: wish.names.map((value) => ({ type: 2, value })) }]),
  ]);
  const signer = forge.pki.privateKeyFromPem(wish.issuer?.key ?? privateKey);
  certificate.sign(signer, forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: privateKey };
}

/** 16 bytes of which the first is 0x40 to 0x7f: positive, and the shortest encoding of itself, as DER demands. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString('hex');
}

/** The default certificate of a router that was given none (Route semantics 4.2). */
export function makeDefaultCertificate(routerDomain: string): MadeCertificate {
  const name = routerDomain === '' ? 'localhost' : `*.${routerDomain}`;
  return makeCertificate({ commonName: 'headgate', names: [name], days: 3652 });
}
