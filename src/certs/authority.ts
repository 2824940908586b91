import type { Buffer } from 'node:buffer';
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { makeCertificate, type Issuer } from './certificate.ts';
import { elementsOf } from './der-reader.ts';
import { certLimits } from './limits.ts';
import { canSign } from './signing.ts';

/** A certificate that an authority made for one name, with the authority's own behind it, and its key. PEM. */
export interface Leaf {
  readonly cert: string;
  readonly key: string;
  /** Wall-clock ms. */
  readonly notAfterMs: number;
  /** Another one is made from then on, when the name is asked for, wall-clock ms. */
  readonly dueMs: number;
}

/** Makes certificates for whatever name is asked for, each when it is first asked for: for development and private networks. */
export class Authority {
  /** Its own certificate, and those that vouch for it, PEM. */
  readonly cert: string;
  readonly certificate: X509Certificate;
  readonly #issuer: Issuer;
  readonly #wall: () => number;
  /** One for all leaves: making keys would be most of the work, and who has one of them has all of them. */
  readonly #leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  readonly #leafKeyPem = this.#leafKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  /** By the names in them; the one asked for longest ago first. */
  readonly #leaves = new Map<string, Leaf>();

  /** `cert`: PEM, its own certificate first. @throws Error whose message ends the sentence `tls_cert …` when it is no authority's */
  constructor(cert: string, key: string | KeyObject, wall: () => number) {
    this.cert = cert;
    this.certificate = new X509Certificate(cert);
    this.#wall = wall;
    const signingKey = typeof key === 'string' ? createPrivateKey(key) : key;
    if (!this.certificate.ca) throw new Error('is no certificate of an authority');
    if (!canSign(signingKey)) throw new Error(`has a key of the kind ${signingKey.asymmetricKeyType}, with which nothing is signed here`);
    if (!this.certificate.checkPrivateKey(signingKey)) throw new Error('is not for the key of tls_key');
    this.#issuer = { key: signingKey, ...identityOf(this.certificate.raw) };
  }

  /** A certificate for all of these names and addresses. @returns null when the first of them can be no server's name */
  leafFor(names: readonly string[]): Leaf | null {
    if (!isNameOrAddress(names[0]!)) return null;
    const id = names.join(' ');
    const now = this.#wall();
    const known = this.#leaves.get(id);
    this.#leaves.delete(id);
    const leaf = known !== undefined && now < known.dueMs ? known : this.#make(names, now);
    this.#leaves.set(id, leaf);
    if (this.#leaves.size > certLimits.leaves) this.#leaves.delete(this.#leaves.keys().next().value!);
    return leaf;
  }

  #make(names: readonly string[], now: number): Leaf {
    const endMs = Date.parse(this.certificate.validTo);
    const notAfterMs = Math.min(now + certLimits.leafMs, endMs);
    const notBeforeMs = Math.max(now - certLimits.clockLeewayMs, Date.parse(this.certificate.validFrom));
    const cert = makeCertificate({ names, isAuthority: false, key: this.#leafKey, notBeforeMs, notAfterMs, issuer: this.#issuer });
    // One that ends with the authority can be bettered by none.
    const dueMs = notAfterMs === endMs ? Infinity : now + (certLimits.leafMs * 2) / 3;
    return { cert: cert + this.cert, key: this.#leafKeyPem, notAfterMs, dueMs };
  }
}

/** What comes from a client is looked at before it is signed: letters, digits, hyphens, underscores and dots, at most 253 of them (RFC 1035 2.3.4). */
function isNameOrAddress(name: string): boolean {
  return isIP(name) !== 0 || (name.length <= 253 && /^[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?(?:\.[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?)*$/.test(name));
}

/** Subject and key identifier of a certificate, as they stand in it (RFC 5280 4.1): names that look alike may be written differently. */
function identityOf(certificate: Buffer): Pick<Issuer, 'subject' | 'keyId'> {
  const body = elementsOf(elementsOf(elementsOf(certificate)[0]!.value)[0]!.value);
  const hasVersion = body[0]!.tag === 0xa0;
  const extensions = body.find(({ tag }) => tag === 0xa3);
  const list = extensions === undefined ? [] : elementsOf(elementsOf(extensions.value)[0]!.value);
  const keyId = list.map(({ value }) => elementsOf(value)).find(([id]) => id!.value.toString('hex') === SUBJECT_KEY_ID);
  return { subject: body[hasVersion ? 5 : 4]!.whole, keyId: keyId === undefined ? null : elementsOf(keyId.at(-1)!.value)[0]!.value };
}

/** 2.5.29.14 */
const SUBJECT_KEY_ID = '551d0e';
