// The certificates of a chaotic run, and what is known of each because it was made that way: the model looks texts up here
// instead of reading them.

import { makeAuthority, makeCertificate, type TestAuthority } from '../certificates.ts';

/** A leaf that Routes and Secrets may hold. */
export type KnownCertificate = {
  readonly name: string;
  readonly certificate: string;
  readonly key: string;
  readonly issuer: string;
  /** The digest that it must not be signed with; empty where it is sound. */
  readonly weak: string;
};

export class Pems {
  readonly authorities: readonly TestAuthority[];
  readonly certificates: readonly KnownCertificate[];
  /** What is no PEM. */
  readonly garbage: string = 'nothing that anybody could read';
  readonly #byText: Map<string, KnownCertificate> = new Map();
  readonly #byKey: Map<string, KnownCertificate> = new Map();

  constructor() {
    const root = makeAuthority({ name: 'root' });
    const stranger = makeAuthority({ name: 'stranger' });
    this.authorities = [root, stranger];
    const made = (
      name: string,
      issuer: TestAuthority,
      weak = '',
      more: Partial<Parameters<typeof makeCertificate>[0]> = {},
    ): KnownCertificate => {
      const { certificate, key } = makeCertificate({ names: [`${name}.test`], issuer, ...more });
      return { name, certificate, key, issuer: issuer.name, weak };
    };
    const yesterday = new Date(Date.now() - 86_400_000);
    const longAgo = new Date(Date.now() - 30 * 86_400_000);
    this.certificates = [
      made('first', root),
      made('second', root),
      made('third', stranger),
      // That it has expired is the owner's affair.
      made('expired', root, '', { notBefore: longAgo, notAfter: yesterday }),
      made('weak', root, 'SHA1', { signatureHash: 'sha1' }),
    ];
    for (const known of this.certificates) {
      this.#byText.set(known.certificate, known);
      this.#byKey.set(known.key, known);
    }
  }

  /** The certificate that a text is; undefined where it is none of ours. */
  certificate(text: string): KnownCertificate | undefined {
    return this.#byText.get(text);
  }

  /** The certificate whose key a text is. */
  key(text: string): KnownCertificate | undefined {
    return this.#byKey.get(text);
  }

  /** The authority whose certificate a text is. */
  authority(text: string): TestAuthority | undefined {
    return this.authorities.find(({ certificate }) => certificate === text);
  }
}
