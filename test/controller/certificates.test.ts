import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  authorityFromPem,
  type CheckedTls,
  certificateIdOf,
  checkTls,
  servingFromPair,
  servingFromPem,
  type TlsFields,
} from '../../src/controller/certificates.ts';
import { makeAuthority, makeCertificate, pemBlock, pemBytes } from '../support/certificates.ts';

const year = (n: number) => new Date(Date.UTC(n, 0, 1));

// Signers and leaves, made once. RSA only where a case is about RSA: such keys take a while.
const root = makeAuthority({ name: 'root' });
const intermediate = makeAuthority({ name: 'intermediate', issuer: root });
const rsaRoot = makeAuthority({ name: 'rsa root', keyType: 'rsa', signatureHash: 'sha1' });
const sha1Intermediate = makeAuthority({ name: 'sha1 intermediate', issuer: rsaRoot, signatureHash: 'sha1' });
const stranger = makeAuthority({ name: 'stranger' });
const rootsNamesake = makeAuthority({ name: 'root' });
const unmarked = makeAuthority({ name: 'unmarked', marked: false });

const leaf = makeCertificate({ names: ['www.v.test'], issuer: root });
const other = makeCertificate({ names: ['other.v.test'], issuer: root });
const rsaLeaf = makeCertificate({ names: ['rsa.v.test'], issuer: root, keyType: 'rsa' });
const deep = makeCertificate({ names: ['deep.v.test'], issuer: intermediate });
const expired = makeCertificate({
  names: ['expired.v.test'],
  issuer: root,
  notBefore: year(2020),
  notAfter: year(2021),
});
const future = makeCertificate({ names: ['future.v.test'], issuer: root, notBefore: year(2038), notAfter: year(2058) });
const clientOnly = makeCertificate({ names: ['purpose.v.test'], issuer: root, clientAuth: true });
const selfSigned = makeCertificate({ names: ['self.v.test'], issuer: 'self' });
const ed25519 = makeCertificate({ names: ['ed.v.test'], issuer: root, keyType: 'ed25519' });
const sha1Leaf = makeCertificate({ names: ['sha1.v.test'], issuer: root, signatureHash: 'sha1' });
const sha1RsaLeaf = makeCertificate({ names: ['sha1.v.test'], issuer: rsaRoot, signatureHash: 'sha1' });
const md5Leaf = makeCertificate({ names: ['md5.v.test'], issuer: rsaRoot, signatureHash: 'md5' });
const small = makeCertificate({ names: ['small.v.test'], issuer: root, keyType: 'rsa', rsaBits: 1024 });
const smallRoot = makeAuthority({ name: 'small root', keyType: 'rsa', rsaBits: 1024 });
const belowSmall = makeCertificate({ names: ['below.v.test'], issuer: smallRoot });
// The issuer has the leaf's name, which alone does not make it self-signed.
const namesake = makeCertificate({
  names: ['same'],
  issuer: makeAuthority({ name: 'same' }),
  signatureHash: 'sha1',
});

const sec1 = leaf.privateKey.export({ type: 'sec1', format: 'pem' }).toString();
const pkcs1 = rsaLeaf.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
const cipher = { cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
const encrypted = rsaLeaf.privateKey.export({ type: 'pkcs1', format: 'pem', ...cipher }).toString();
const encryptedPkcs8 = leaf.privateKey.export({ type: 'pkcs8', format: 'pem', ...cipher }).toString();
const publicKey = new X509Certificate(leaf.certificate).publicKey.export({ type: 'spki', format: 'pem' }).toString();
const request = pemBlock('CERTIFICATE REQUEST', pemBytes(leaf.certificate));
const malformed = pemBlock('CERTIFICATE', pemBytes(leaf.certificate).subarray(0, 100));
const curveParameters = pemBlock('EC PARAMETERS', Buffer.from('06082a8648ce3d030107', 'hex'));
const bagAttributes =
  'Bag Attributes\n    friendlyName: leaf\n    localKeyID: 01 02\nsubject=CN = x\n\nissuer=CN = y\nKey Attributes: <No Attributes>\n';

const absent: TlsFields = {
  termination: 'edge',
  certificate: '',
  key: '',
  caCertificate: '',
  destinationCaCertificate: '',
  insecurePolicy: '',
};

// What stands before the reference's own words in every field error.
const certificateField = 'spec.tls.certificate: Invalid value: "redacted certificate data": ';
const keyField = 'spec.tls.key: Invalid value: "redacted key data": ';
const caField = 'spec.tls.caCertificate: Invalid value: "redacted ca certificate data": ';
const destinationField =
  'spec.tls.destinationCACertificate: Invalid value: "redacted destination ca certificate data": ';
const noKey = 'spec.tls.key: Invalid value: "": no key specified';
const noCertificate = 'data does not contain any valid RSA or ECDSA certificates';
const unknownAuthority = 'error verifying certificate: x509: certificate signed by unknown authority';
const passthroughRefuses = 'passthrough termination does not support certificates';
const mismatch = `${keyField}tls: private key does not match public key`;
const smallKey = 'router does not support certificates with RSA keys of less than 2048 bits';
const typeMismatch = `${keyField}tls: private key type does not match public key type`;

type Case = {
  readonly name: string;
  readonly fields: Partial<TlsFields>;
  /** Absent: valid. */
  readonly errors?: readonly string[];
  /** The certificates that are served, leaf first. Absent: none is. */
  readonly serves?: readonly string[];
  /** The trust anchors towards the pods. */
  readonly trusts?: readonly string[];
};

const withKey = (made: { readonly certificate: string; readonly key: string }) => ({
  certificate: made.certificate,
  key: made.key,
});

// What the reference router was seen to say and serve; messages byte for byte.
const observed: readonly Case[] = [
  { name: 'expired', fields: withKey(expired), serves: [expired.certificate] },
  { name: 'future', fields: withKey(future), serves: [future.certificate] },
  { name: 'mismatch', fields: { certificate: leaf.certificate, key: other.key }, errors: [mismatch] },
  { name: 'nokey', fields: { certificate: leaf.certificate }, errors: [noKey] },
  { name: 'nocert', fields: { key: leaf.key } },
  {
    name: 'garbage',
    fields: { certificate: 'garbage', key: 'garbage' },
    errors: [certificateField + noCertificate, noKey],
  },
  { name: 'garbagekey', fields: { certificate: leaf.certificate, key: 'garbage' }, errors: [noKey] },
  {
    name: 'sha1',
    fields: withKey(sha1Leaf),
    errors: [`${certificateField}router does not support CA-signed certs using SHA1`],
  },
  { name: 'hostname', fields: withKey(other), serves: [other.certificate] },
  {
    name: 'ed25519',
    fields: withKey(ed25519),
    errors: [`${keyField}block private key ed25519.PrivateKey is not valid`],
  },
  {
    name: 'encrypted',
    fields: { certificate: rsaLeaf.certificate, key: encrypted },
    errors: [`${keyField}block RSA PRIVATE KEY is not valid`, `${keyField}tls: failed to parse private key`],
  },
  { name: 'bundled', fields: { certificate: leaf.certificate + leaf.key }, serves: [leaf.certificate] },
  {
    name: 'wrongca',
    fields: { ...withKey(leaf), caCertificate: stranger.certificate },
    errors: [certificateField + unknownAuthority],
  },
  {
    name: 'rightca',
    fields: { ...withKey(leaf), caCertificate: root.certificate },
    serves: [leaf.certificate, root.certificate],
  },
  {
    name: 'badca',
    fields: { ...withKey(leaf), caCertificate: 'garbage' },
    errors: [`${caField}failed to parse CA certificate: ${noCertificate}`, certificateField + unknownAuthority],
  },
  {
    name: 'baddest',
    fields: { termination: 'reencrypt', destinationCaCertificate: 'garbage' },
    errors: [`${destinationField}failed to parse destination CA certificate: ${noCertificate}`],
  },
  { name: 'emptydest', fields: { termination: 'reencrypt' } },
  {
    name: 'crlf',
    fields: { certificate: leaf.certificate.replaceAll('\n', '\r\n'), key: leaf.key.replaceAll('\n', '\r\n') },
    serves: [leaf.certificate],
  },
  {
    name: 'comment',
    fields: { certificate: `# mine\n${leaf.certificate}# end`, key: `# mine\n${leaf.key}` },
    serves: [leaf.certificate],
  },
  { name: 'caonly', fields: { caCertificate: root.certificate } },
  {
    name: 'swapped',
    fields: { certificate: leaf.key, key: leaf.certificate },
    errors: [
      certificateField + noCertificate,
      `${keyField}field contains invalid types CERTIFICATE, expecting only PRIVATE KEY`,
      `${certificateField}the PEM content cannot be null`,
      `${keyField}tls: failed to find any PEM data in certificate input`,
    ],
  },
  {
    name: 'twokeys',
    fields: { certificate: leaf.certificate, key: leaf.key + other.key },
    serves: [leaf.certificate],
  },
  {
    name: 'cafirst',
    fields: { certificate: root.certificate + rsaLeaf.certificate, key: rsaLeaf.key },
    errors: [typeMismatch],
  },
  { name: 'purpose', fields: withKey(clientOnly), serves: [clientOnly.certificate] },
  { name: 'ec', fields: withKey(leaf), serves: [leaf.certificate] },
  {
    name: 'multi',
    fields: { certificate: 'abc', key: 'def', caCertificate: 'ghi' },
    errors: [`${caField}failed to parse CA certificate: ${noCertificate}`, certificateField + noCertificate, noKey],
  },
  {
    name: 'CA file that is a key',
    fields: { caCertificate: leaf.key },
    errors: [`${caField}failed to parse CA certificate: ${noCertificate}`],
  },
];

// The cases of the reference's own tests (Route semantics 8.8). Missing numbers differ from others by the host only.
const reencrypt = { termination: 'reencrypt' } as const;
const passthrough = { termination: 'passthrough' } as const;
const reference: readonly Case[] = [
  { name: 'J1', fields: passthrough },
  {
    name: 'J2',
    fields: {
      ...reencrypt,
      ...withKey(leaf),
      caCertificate: root.certificate,
      destinationCaCertificate: stranger.certificate,
    },
    serves: [leaf.certificate, root.certificate],
    trusts: [stranger.certificate],
  },
  {
    name: 'J3',
    fields: {
      ...reencrypt,
      certificate: 'def',
      key: 'ghi',
      caCertificate: 'jkl',
      destinationCaCertificate: 'abc',
    },
    errors: [
      `${caField}failed to parse CA certificate: ${noCertificate}`,
      certificateField + noCertificate,
      noKey,
      `${destinationField}failed to parse destination CA certificate: ${noCertificate}`,
    ],
  },
  {
    name: 'J4',
    fields: { ...reencrypt, destinationCaCertificate: root.certificate },
    trusts: [root.certificate],
  },
  {
    name: 'J9: a key of another certificate, of another kind',
    fields: { certificate: leaf.certificate, key: rsaLeaf.key, caCertificate: root.certificate },
    errors: [typeMismatch],
  },
  {
    name: 'J12: an authority of the same name that did not sign',
    fields: { ...withKey(leaf), caCertificate: rootsNamesake.certificate },
    errors: [certificateField + unknownAuthority],
  },
  {
    name: 'J13: expired and not issued by the authority (the reference lets it pass)',
    fields: { ...withKey(expired), caCertificate: stranger.certificate },
    errors: [certificateField + unknownAuthority],
  },
  {
    name: 'J14',
    fields: { certificate: leaf.certificate, key: other.key, caCertificate: stranger.certificate },
    errors: [certificateField + unknownAuthority, mismatch],
  },
  { name: 'J15', fields: {} },
  {
    name: 'J16',
    fields: { destinationCaCertificate: 'abc' },
    errors: [
      `${destinationField}edge termination does not support destination certificates`,
      `${destinationField}failed to parse destination CA certificate: ${noCertificate}`,
    ],
  },
  {
    name: 'J17',
    fields: { ...passthrough, certificate: 'test' },
    errors: [certificateField + passthroughRefuses, certificateField + noCertificate, noKey],
  },
  { name: 'J18', fields: { ...passthrough, key: 'test' }, errors: [keyField + passthroughRefuses] },
  {
    name: 'J19',
    fields: { ...passthrough, caCertificate: 'test' },
    errors: [caField + passthroughRefuses, `${caField}failed to parse CA certificate: ${noCertificate}`],
  },
  {
    name: 'J20',
    fields: { ...passthrough, destinationCaCertificate: 'test' },
    errors: [
      destinationField + passthroughRefuses,
      `${destinationField}failed to parse destination CA certificate: ${noCertificate}`,
    ],
  },
  {
    name: 'J21',
    fields: { termination: 'invalid', insecurePolicy: 'whatever' },
    errors: [
      'spec.tls.termination: Unsupported value: "invalid": supported values: "edge", "passthrough", "reencrypt"',
    ],
  },
  {
    name: 'J22: line ends as backslash and n',
    fields: { ...withKey(leaf), certificate: leaf.certificate.replaceAll('\n', '\\n') },
    errors: [
      certificateField + noCertificate,
      `${certificateField}the PEM content cannot be null`,
      `${keyField}tls: failed to find any PEM data in certificate input`,
    ],
  },
  {
    name: 'J23: expired, with its authority',
    fields: { ...withKey(expired), caCertificate: root.certificate },
    serves: [expired.certificate, root.certificate],
  },
  { name: 'J24', fields: { certificate: expired.certificate }, errors: [noKey] },
  { name: 'J25', fields: { certificate: expired.certificate, key: leaf.key }, errors: [mismatch] },
  {
    name: 'J26',
    fields: { ...reencrypt, certificate: expired.certificate, destinationCaCertificate: expired.certificate },
    errors: [noKey],
  },
  {
    name: 'J28: self-signed, and as destination CA too',
    fields: { ...reencrypt, ...withKey(selfSigned), destinationCaCertificate: selfSigned.certificate },
    serves: [selfSigned.certificate],
    trusts: [selfSigned.certificate],
  },
  {
    name: 'J28: self-signed, and as caCertificate too',
    fields: { ...withKey(selfSigned), caCertificate: selfSigned.certificate },
    serves: [selfSigned.certificate, selfSigned.certificate],
  },
  {
    name: 'J29: not valid yet, with white space around',
    fields: { certificate: `\n\t\n${future.certificate}\n\n `, key: `\n\t\n${future.key}\n \n` },
    serves: [future.certificate],
  },
  {
    name: 'J30: chain in caCertificate',
    fields: { ...withKey(deep), caCertificate: intermediate.certificate + root.certificate },
    serves: [deep.certificate, intermediate.certificate, root.certificate],
  },
  {
    name: 'J30: the intermediate alone is trust enough',
    fields: { ...withKey(deep), caCertificate: intermediate.certificate },
    serves: [deep.certificate, intermediate.certificate],
  },
  {
    name: 'an intermediate in the certificate field is no trust',
    fields: {
      certificate: deep.certificate + intermediate.certificate,
      key: deep.key,
      caCertificate: root.certificate,
    },
    errors: [certificateField + unknownAuthority],
  },
  {
    name: 'J31: caCertificate is a request',
    fields: { ...withKey(leaf), caCertificate: request },
    errors: [`${caField}failed to parse CA certificate: ${noCertificate}`, certificateField + unknownAuthority],
  },
  {
    name: 'J31: caCertificate is malformed',
    fields: { ...withKey(leaf), caCertificate: malformed },
    errors: [
      `${caField}failed to parse CA certificate: x509: malformed certificate`,
      certificateField + unknownAuthority,
    ],
  },
  {
    name: 'J32: destination CA is a request',
    fields: { ...reencrypt, destinationCaCertificate: request },
    errors: [`${destinationField}failed to parse destination CA certificate: ${noCertificate}`],
  },
  {
    name: 'J32: destination CA is a key',
    fields: { ...reencrypt, destinationCaCertificate: leaf.key },
    errors: [`${destinationField}failed to parse destination CA certificate: ${noCertificate}`],
  },
  {
    name: 'J32: destination CA is malformed',
    fields: { ...reencrypt, destinationCaCertificate: malformed },
    errors: [`${destinationField}failed to parse destination CA certificate: x509: malformed certificate`],
  },
  {
    name: '1.7: destination CA is the legacy comment',
    fields: {
      ...reencrypt,
      destinationCaCertificate: '-----BEGIN COMMENT-----\nThis is an empty PEM file\n-----END COMMENT-----\n',
    },
    errors: [`${destinationField}failed to parse destination CA certificate: ${noCertificate}`],
  },
  {
    name: 'J33: destination CA with white space and comments',
    fields: {
      ...reencrypt,
      destinationCaCertificate: `\n  \n# one\n${intermediate.certificate}\n\n# two\n${root.certificate}\t\n`,
    },
    trusts: [intermediate.certificate, root.certificate],
  },
  {
    name: 'J34: a key of unknown block type',
    fields: { key: '-----BEGIN UNRECOGNIZED-----\n-----END UNRECOGNIZED-----\n' },
    errors: [`${keyField}unrecognized PEM block UNRECOGNIZED`],
  },
  { name: 'J35: bad trailer', fields: { key: '-----BEGIN UNRECOGNIZED-----\n----END UNRECOGNIZED-----\n' } },
  {
    name: 'J35: bad trailer, with a certificate',
    fields: { certificate: leaf.certificate, key: leaf.key.replace('-----END', '----END') },
    errors: [noKey],
  },
  { name: 'J36', fields: { key: '-----BEGIN EC PARAMETERS-----\n-----END EC PARAMETERS-----\n' } },
  { name: 'J37', fields: { caCertificate: `x\n${root.certificate}y`, key: curveParameters } },
  {
    name: 'J38',
    fields: { caCertificate: root.certificate, key: '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n' },
    errors: [`${keyField}x509: malformed certificate`],
  },
  {
    name: 'J41: own key bundled, another in the key field',
    fields: { certificate: leaf.certificate + leaf.key, key: other.key },
    serves: [leaf.certificate],
  },
  {
    name: 'J41: another key bundled, own in the key field',
    fields: { certificate: leaf.certificate + other.key, key: leaf.key },
    errors: [mismatch],
  },
  {
    name: 'the key bundled before the certificate',
    fields: { certificate: leaf.key + leaf.certificate },
    serves: [leaf.certificate],
  },
  {
    name: 'as unpacked from PKCS #12',
    fields: {
      certificate: bagAttributes + leaf.certificate + bagAttributes + root.certificate,
      key: bagAttributes + leaf.key,
    },
    serves: [leaf.certificate, root.certificate],
  },
  {
    name: 'J42',
    fields: withKey(md5Leaf),
    errors: [`${certificateField}router does not support CA-signed certs using MD5`],
  },
  {
    name: 'J43: RSA',
    fields: withKey(sha1RsaLeaf),
    errors: [`${certificateField}router does not support CA-signed certs using SHA1`],
  },
  {
    name: 'J43: issuer and subject of one name',
    fields: withKey(namesake),
    errors: [`${certificateField}router does not support CA-signed certs using SHA1`],
  },
  {
    name: 'two weak hashes in one field',
    fields: { ...withKey(md5Leaf), certificate: md5Leaf.certificate + sha1Intermediate.certificate },
    errors: [
      `${certificateField}[router does not support CA-signed certs using MD5, router does not support CA-signed certs using SHA1]`,
    ],
  },
  {
    name: 'J45',
    fields: { ...reencrypt, destinationCaCertificate: rsaRoot.certificate + sha1Intermediate.certificate },
    errors: [`${destinationField}router does not support CA-signed certs using SHA1`],
  },
  {
    name: 'J46',
    fields: { ...reencrypt, destinationCaCertificate: rsaRoot.certificate },
    trusts: [rsaRoot.certificate],
  },
  {
    name: 'J47: SHA-1 intermediate',
    fields: { caCertificate: rsaRoot.certificate + sha1Intermediate.certificate },
    errors: [`${caField}router does not support CA-signed certs using SHA1`],
  },
  { name: 'J47: SHA-1 root', fields: { caCertificate: rsaRoot.certificate } },
  {
    name: 'J49: a certificate behind the key',
    fields: { certificate: leaf.certificate, key: leaf.key + root.certificate },
    errors: [`${keyField}field contains invalid types CERTIFICATE, expecting only PRIVATE KEY`],
  },
  {
    name: 'J49: a public key in the certificate',
    fields: { certificate: leaf.certificate + publicKey, key: leaf.key },
    errors: [`${certificateField}field contains invalid types PUBLIC KEY, expecting only CERTIFICATE`],
  },
  {
    name: 'J50',
    fields: { certificate: intermediate.certificate + deep.certificate, key: deep.key },
    errors: [mismatch],
  },
];

const ours: readonly Case[] = [
  {
    name: 'encrypted PKCS #8',
    fields: { certificate: leaf.certificate, key: encryptedPkcs8 },
    errors: [`${keyField}unrecognized PEM block ENCRYPTED PRIVATE KEY`, `${keyField}tls: failed to parse private key`],
  },
  {
    name: 'encrypted PKCS #8 under a plain label',
    fields: { certificate: leaf.certificate, key: pemBlock('PRIVATE KEY', pemBytes(encryptedPkcs8)) },
    errors: [`${keyField}block PRIVATE KEY is not valid`, `${keyField}tls: failed to parse private key`],
  },
  {
    name: 'a curve that browsers do not know',
    fields: {
      key: generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
    },
    errors: [`${keyField}block PRIVATE KEY is not valid`],
  },
  {
    name: 'an issuer that is not an authority',
    fields: {
      ...withKey(makeCertificate({ names: ['a.test'], issuer: unmarked })),
      caCertificate: unmarked.certificate,
    },
    errors: [certificateField + unknownAuthority],
  },
  {
    name: 'for clients only, with its authority',
    fields: { ...withKey(clientOnly), caCertificate: root.certificate },
    errors: [`${certificateField}error verifying certificate: x509: certificate specifies an incompatible key usage`],
  },
  {
    name: 'the authority after one of its name',
    fields: { ...withKey(leaf), caCertificate: rootsNamesake.certificate + root.certificate },
    serves: [leaf.certificate, rootsNamesake.certificate, root.certificate],
  },
  {
    name: 'a key that OpenSSL would not load',
    fields: withKey(small),
    errors: [certificateField + smallKey],
  },
  {
    name: 'a key that OpenSSL would not load, in the chain',
    fields: { certificate: belowSmall.certificate + smallRoot.certificate, key: belowSmall.key },
    errors: [certificateField + smallKey],
  },
  {
    name: 'a key that OpenSSL would not load, in the caCertificate',
    fields: { ...withKey(belowSmall), caCertificate: smallRoot.certificate },
    errors: [certificateField + smallKey],
  },
  {
    name: 'a small key above what is served',
    fields: withKey(belowSmall),
    serves: [belowSmall.certificate],
  },
  { name: 'a small key in a caCertificate that is not served', fields: { caCertificate: smallRoot.certificate } },
  {
    name: 'a small key towards the pods',
    fields: { ...reencrypt, destinationCaCertificate: smallRoot.certificate },
    trusts: [smallRoot.certificate],
  },
  {
    name: 'bytes behind the certificate',
    fields: {
      certificate: pemBlock('CERTIFICATE', Buffer.concat([pemBytes(leaf.certificate), Buffer.from([0])])),
      key: leaf.key,
    },
    errors: [`${certificateField}x509: malformed certificate`, `${keyField}x509: malformed certificate`],
  },
  {
    name: 'one PEM text inside another',
    fields: { certificate: pemBlock('CERTIFICATE', Buffer.from(`\n${leaf.certificate}`)), key: leaf.key },
    errors: [`${certificateField}x509: malformed certificate`, `${keyField}x509: malformed certificate`],
  },
  {
    name: 'a block that is opened twice',
    fields: { certificate: `-----BEGIN CERTIFICATE-----\n${leaf.certificate}`, key: leaf.key },
    serves: [leaf.certificate],
  },
  {
    name: 'passthrough with Allow',
    fields: { ...passthrough, insecurePolicy: 'Allow' },
    errors: [
      'spec.tls.insecureEdgeTerminationPolicy: Invalid value: "Allow": invalid value for InsecureEdgeTerminationPolicy option, acceptable values are None, Redirect, or empty',
    ],
  },
  {
    name: 'a policy of no meaning',
    fields: { ...reencrypt, insecurePolicy: 'Sometimes' },
    errors: [
      'spec.tls.insecureEdgeTerminationPolicy: Invalid value: "Sometimes": invalid value for InsecureEdgeTerminationPolicy option, acceptable values are None, Allow, Redirect, or empty',
    ],
  },
  ...['None', 'Allow', 'Redirect'].map((insecurePolicy) => ({
    name: `edge with ${insecurePolicy}`,
    fields: { insecurePolicy },
  })),
  ...['None', 'Redirect'].map((insecurePolicy) => ({
    name: `passthrough with ${insecurePolicy}`,
    fields: { ...passthrough, insecurePolicy },
  })),
];

function check(fields: Partial<TlsFields>): CheckedTls {
  return checkTls({ ...absent, ...fields });
}

describe.each([
  { title: 'observed at the reference router', cases: observed },
  { title: 'tests of the reference', cases: reference },
  { title: 'our own', cases: ours },
])('$title', ({ cases }) => {
  test.each(cases)('$name', ({ fields, errors, serves, trusts }) => {
    const checked = check(fields);
    if (errors !== undefined) {
      const message = errors.length === 1 ? errors.join('') : `[${errors.join(', ')}]`;
      expect(checked).toEqual({ kind: 'invalid', message });
      return;
    }
    if (checked.kind === 'invalid') throw new Error(checked.message);
    expect(checked.serving?.chain).toBe(serves?.join(''));
    expect(checked.destination?.chain).toBe(trusts?.join(''));
    if (checked.serving !== null) {
      expect(checked.serving.id).toBe(certificateIdOf(checked.serving.chain, checked.serving.key));
      expect(checked.notAfterMs).toBe(new X509Certificate(serves?.[0] ?? '').validToDate.getTime());
      createSecureContext({ cert: checked.serving.chain, key: checked.serving.key ?? '' });
    } else {
      expect(checked.notAfterMs).toBeNull();
    }
    if (checked.destination !== null) {
      expect(checked.destination.key).toBeNull();
      createSecureContext({ ca: checked.destination.chain });
    }
  });
});

describe('keys', () => {
  const spellings = [
    { name: 'PKCS #8', made: leaf, key: leaf.key },
    { name: 'SEC 1', made: leaf, key: sec1 },
    { name: 'SEC 1 behind its curve', made: leaf, key: curveParameters + sec1 },
    { name: 'SEC 1 before its curve', made: leaf, key: sec1 + curveParameters },
    { name: 'SEC 1 under another label', made: leaf, key: sec1.replaceAll('EC PRIVATE', 'PRIVATE') },
    { name: 'SEC 1 under ECDSA', made: leaf, key: sec1.replaceAll('EC PRIVATE', 'ECDSA PRIVATE') },
    { name: 'indented', made: leaf, key: sec1.replace(/\n(?=[^-])/g, '\n   ') },
    { name: 'RSA PKCS #8', made: rsaLeaf, key: rsaLeaf.key },
    { name: 'RSA PKCS #1', made: rsaLeaf, key: pkcs1 },
    { name: 'RSA PKCS #1 under another label', made: rsaLeaf, key: pkcs1.replaceAll('RSA PRIVATE', 'PRIVATE') },
    { name: 'RSA PKCS #8 under another label', made: rsaLeaf, key: rsaLeaf.key.replaceAll(' PRIVATE', ' RSA PRIVATE') },
  ];
  test.each(spellings)('$name comes out in one spelling (J39)', ({ made, key }) => {
    const checked = check({ certificate: made.certificate, key });
    expect(checked).toMatchObject({ kind: 'valid', serving: { chain: made.certificate, key: made.key } });
  });

  test('surplus keys are left out', () => {
    const checked = check({ certificate: leaf.certificate, key: leaf.key + other.key });
    expect(checked).toMatchObject({ kind: 'valid', serving: { key: leaf.key } });
  });

  // Why small keys are refused: this is what the worker would be told.
  test.each([
    { name: 'leaf', made: small, chain: small.certificate, code: 'ERR_SSL_EE_KEY_TOO_SMALL' },
    {
      name: 'chain',
      made: belowSmall,
      chain: belowSmall.certificate + smallRoot.certificate,
      code: 'ERR_SSL_CA_KEY_TOO_SMALL',
    },
  ])('OpenSSL does not load a small key: $name', ({ made, chain, code }) => {
    expect(() => createSecureContext({ cert: chain, key: made.key })).toThrow(expect.objectContaining({ code }));
  });

  test.each([
    { name: 'SHA-1', signatureHash: 'sha1' },
    { name: 'MD5', signatureHash: 'md5' },
  ] as const)('a self-signed certificate may use $name (J44)', ({ signatureHash }) => {
    const made = makeCertificate({ names: ['a.test'], issuer: 'self', keyType: 'rsa', signatureHash });
    const checked = check(withKey(made));
    if (checked.kind === 'invalid') throw new Error(checked.message);
    createSecureContext({ cert: checked.serving?.chain ?? '', key: checked.serving?.key ?? '' });
  });
});

describe('bounds', () => {
  const tooMany = [
    { name: 'a long field', pem: ' '.repeat(1_048_577), detail: 'PEM data is longer than 1048576 bytes' },
    { name: 'many blocks', pem: pemBlock('X', Buffer.alloc(0)).repeat(513), detail: 'more than 512 PEM blocks' },
  ];
  test.each(tooMany)('$name', ({ pem, detail }) => {
    expect(check({ certificate: pem, key: leaf.key })).toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining(certificateField + detail),
    });
    expect(authorityFromPem(pem)).toBeNull();
  });

  // Each of these would take minutes where a scan starts anew for every block or goes back over blanks.
  const begin = '-----BEGIN CERTIFICATE-----\n';
  const end = '-----END CERTIFICATE-----';
  const hostile = [
    { name: 'blocks that never end', pem: begin.repeat(37_000) },
    { name: 'blocks with one end', pem: `${begin.repeat(37_000)}${end}` },
    { name: 'blocks with one end of another type', pem: `${begin.repeat(37_000)}-----END OTHER-----` },
    { name: 'one end with blanks behind', pem: `${begin.repeat(18_000)}${end}${' '.repeat(500_000)}x` },
    { name: 'blanks in the body', pem: `${begin}${' '.repeat(1_000_000)}!\n${end}` },
    { name: 'blanks and signs in the body', pem: `${begin}${'= '.repeat(500_000)}\n${end}` },
    { name: 'blanks before a header', pem: `${begin}${' '.repeat(1_000_000)}:\n${end}` },
    { name: 'headers', pem: `${begin}${'a:\n'.repeat(340_000)}${end}` },
  ];
  test.each(hostile)('$name', { timeout: 2000 }, ({ pem }) => {
    expect(check({ certificate: pem, key: leaf.key }).kind).toBe('invalid');
  });

  test('an authority is not searched for without end', { timeout: 2000 }, () => {
    const pool = Array.from({ length: 200 }, () => makeAuthority({ name: 'root' }).certificate).join('');
    expect(check({ ...withKey(leaf), caCertificate: pool + root.certificate })).toEqual({
      kind: 'invalid',
      message: certificateField + unknownAuthority,
    });
  });
});

describe('properties', () => {
  const pieces = [
    leaf.certificate,
    root.certificate,
    leaf.key,
    sec1,
    pkcs1,
    encrypted,
    publicKey,
    request,
    malformed,
    curveParameters,
    bagAttributes,
    '-----BEGIN CERTIFICATE-----\n',
    '-----END CERTIFICATE-----\n',
    '\r\n',
    'secret',
  ];
  const text = fc.oneof(
    fc.constant(''),
    fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string()), { maxLength: 6 }).map((parts) => parts.join('')),
    fc
      .tuple(fc.constantFrom(...pieces), fc.nat(), fc.string({ maxLength: 3 }))
      .map(([piece, at, patch]) => piece.slice(0, at % piece.length) + patch + piece.slice((at % piece.length) + 1)),
  );
  const anyFields = fc.record({
    termination: fc.constantFrom('edge', 'reencrypt', 'passthrough', ''),
    certificate: text,
    key: text,
    caCertificate: text,
    destinationCaCertificate: text,
    insecurePolicy: fc.constantFrom('', 'Allow'),
  });

  test('never throws, leaks nothing, and what is valid can be served and checks the same again', () => {
    fc.assert(
      fc.property(anyFields, (fields) => {
        const checked = checkTls(fields);
        if (checked.kind === 'invalid') {
          expect(checked.message).not.toMatch(/[A-Za-z0-9+/]{40}/);
          expect(checked.message).not.toContain('secret');
          return;
        }
        if (checked.serving === null) return;
        const { chain, key } = checked.serving;
        createSecureContext({ cert: chain, key: key ?? '' });
        expect(check({ certificate: chain, key: key ?? '' })).toMatchObject({ serving: checked.serving });
      }),
      { numRuns: 300 },
    );
  });

  // Certificates that parse but are odd inside: what they hold is read by more than one reader.
  test('never throws on broken DER', () => {
    const broken = fc
      .tuple(
        fc.constantFrom(leaf, rsaLeaf, sha1RsaLeaf, clientOnly),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
      )
      .map(([made, patches]) => {
        const bytes = pemBytes(made.certificate);
        for (const [at, byte] of patches) bytes.writeUInt8(byte, at % bytes.length);
        return { certificate: pemBlock('CERTIFICATE', bytes), key: made.key };
      });
    fc.assert(
      fc.property(broken, (fields) => {
        const checked = check({ ...fields, caCertificate: root.certificate + fields.certificate });
        if (checked.kind === 'invalid') expect(checked.message).not.toMatch(/[A-Za-z0-9+/]{40}/);
      }),
      { numRuns: 500 },
    );
  });
});

describe('certificateIdOf', () => {
  test('tells contents apart', () => {
    const ids = [
      certificateIdOf('a', null),
      certificateIdOf('a', 'b'),
      certificateIdOf('ab', null),
      certificateIdOf('b', 'a'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(certificateIdOf('a', 'b')).toBe(certificateIdOf('a', 'b'));
    expect(certificateIdOf('a', null)).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('authorityFromPem', () => {
  test('takes the certificates only', () => {
    const bundle = authorityFromPem(`# bundle\n${root.certificate}${leaf.key}${malformed}\r\n${stranger.certificate}`);
    expect(bundle).toEqual({
      id: certificateIdOf(root.certificate + stranger.certificate, null),
      chain: root.certificate + stranger.certificate,
      key: null,
    });
  });

  test.each(['', 'garbage', leaf.key, malformed])('is null where there is none: %#', (pem) => {
    expect(authorityFromPem(pem)).toBeNull();
  });
});

describe('default certificate', () => {
  const valid = { kind: 'valid', certificate: { chain: leaf.certificate + root.certificate, key: leaf.key } };
  test.each([
    { name: 'certificates, key', pem: leaf.certificate + root.certificate + leaf.key },
    { name: 'key, certificates', pem: leaf.key + leaf.certificate + root.certificate },
    {
      name: 'with its curve and comments',
      pem: `# x\n${leaf.certificate}${root.certificate}${curveParameters}${sec1}`,
    },
  ])('one text: $name', ({ pem }) => {
    const made = servingFromPem(pem);
    expect(made).toMatchObject(valid);
    if (made.kind !== 'valid') return;
    expect(made.notAfterMs).toBe(new X509Certificate(leaf.certificate).validToDate.getTime());
    createSecureContext({ cert: made.certificate.chain, key: made.certificate.key ?? '' });
  });

  test('certificate and key apart', () => {
    expect(servingFromPair(leaf.certificate + root.certificate, leaf.key)).toMatchObject(valid);
    expect(servingFromPair(leaf.certificate, leaf.key)).toEqual(servingFromPem(leaf.certificate + leaf.key));
  });

  test.each([
    { name: 'nothing', pem: '', problem: 'tls: failed to find any PEM data in certificate input' },
    { name: 'no key', pem: leaf.certificate, problem: 'tls: failed to find any PEM data in key input' },
    { name: 'no certificate', pem: leaf.key, problem: 'tls: failed to find any PEM data in certificate input' },
    { name: 'another key', pem: leaf.certificate + other.key, problem: 'tls: private key does not match public key' },
    {
      name: 'Ed25519',
      pem: ed25519.certificate + ed25519.key,
      problem: 'block private key ed25519.PrivateKey is not valid',
    },
    { name: 'encrypted', pem: rsaLeaf.certificate + encrypted, problem: 'block RSA PRIVATE KEY is not valid' },
    { name: 'a small key', pem: small.certificate + small.key, problem: smallKey },
    {
      name: 'a small key in the chain',
      pem: belowSmall.certificate + smallRoot.certificate + belowSmall.key,
      problem: smallKey,
    },
    {
      name: 'other blocks',
      pem: leaf.certificate + leaf.key + request,
      problem: 'unrecognized PEM block CERTIFICATE REQUEST',
    },
  ])('says what is wrong: $name', ({ pem, problem }) => {
    expect(servingFromPem(pem)).toEqual({ kind: 'invalid', problem });
  });
});

test('fixtures: keys and certificates belong together', () => {
  for (const made of [leaf, rsaLeaf, ed25519, selfSigned, md5Leaf]) {
    const certificate = new X509Certificate(made.certificate);
    expect(certificate.checkPrivateKey(createPrivateKey(made.key))).toBe(true);
    expect(certificate.verify(new X509Certificate(made.authority.certificate).publicKey)).toBe(true);
  }
});
