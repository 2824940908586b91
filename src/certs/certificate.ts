import { Buffer } from 'node:buffer';
import { type KeyObject, randomBytes } from 'node:crypto';
import { bits, integer, octets, oid, retagged, sequence, tagged, time, truth } from './der.ts';
import { alternativeNames, commonName } from './names.ts';
import { keyIdOf, pemOf, publicInfo, signatureAlgorithm, signed } from './signing.ts';

/** Who vouches for a certificate. */
export interface Issuer {
  readonly key: KeyObject;
  /** Its distinguished name, DER, as it stands in its certificate. */
  readonly subject: Buffer;
  /** Null: its certificate has none. */
  readonly keyId: Buffer | null;
}

export interface CertificateRequest {
  /** Names and IP addresses of a server; for an authority its title alone. */
  readonly names: readonly string[];
  readonly isAuthority: boolean;
  /** Its own key, of which the public half goes into the certificate; who has an issuer may give that half alone. */
  readonly key: KeyObject;
  /** Wall-clock ms. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Null: it vouches for itself. */
  readonly issuer: Issuer | null;
}

/** A certificate (RFC 5280), PEM. */
export function makeCertificate({ names, isAuthority, key, notBeforeMs, notAfterMs, issuer }: CertificateRequest): string {
  const info = publicInfo(key);
  const subject = commonName(names[0]!);
  const signingKey = issuer?.key ?? key;
  const issuerKeyId = issuer === null ? keyIdOf(info) : issuer.keyId;
  const body = sequence(
    tagged(0, integer(2)),
    integer(serialNumber()),
    signatureAlgorithm(signingKey),
    issuer?.subject ?? subject,
    sequence(time(notBeforeMs), time(notAfterMs)),
    subject,
    info,
    tagged(
      3,
      sequence(
        ...(isAuthority ? forAuthority() : forServer(names, key)),
        sequence(oid('2.5.29.14'), octets(octets(keyIdOf(info)))),
        ...(issuerKeyId === null ? [] : [sequence(oid('2.5.29.35'), octets(sequence(retagged(0, issuerKeyId))))]),
      ),
    ),
  );
  return pemOf('CERTIFICATE', signed(body, signingKey));
}

/** 127 random bits. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0]! &= 0x7f;
  return bytes;
}

/** May sign certificates of servers, and none of further authorities. */
function forAuthority(): Buffer[] {
  return [
    sequence(oid('2.5.29.19'), truth(), octets(sequence(truth(), integer(0)))),
    sequence(oid('2.5.29.15'), truth(), octets(bits(Buffer.of(0b0000_0110), 1))),
  ];
}

function forServer(names: readonly string[], { asymmetricKeyType }: KeyObject): Buffer[] {
  // An RSA key may also take part in the key exchange of TLS 1.2.
  const usage = asymmetricKeyType === 'rsa' ? bits(Buffer.of(0b1010_0000), 5) : bits(Buffer.of(0b1000_0000), 7);
  return [
    sequence(oid('2.5.29.19'), truth(), octets(sequence())),
    sequence(oid('2.5.29.15'), truth(), octets(usage)),
    sequence(oid('2.5.29.37'), octets(sequence(oid('1.3.6.1.5.5.7.3.1')))),
    alternativeNames(names, commonName(names[0]!).length === sequence().length),
  ];
}
