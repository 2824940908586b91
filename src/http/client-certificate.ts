import type { X509Certificate } from 'node:crypto';

/** A client certificate that has been checked: who the other end of a connection is. All texts are printable ASCII: what else stands in a name is escaped. */
export interface ClientCertificate {
  /** As RFC 2253 writes it, the most particular part first: `CN=alice,OU=dev,O=Example`. */
  readonly subject: string;
  /** The common name in it; '' = none. What is special there stays escaped, as in `subject`. */
  readonly commonName: string;
  /** Whose signature it carries, as `subject`. */
  readonly issuer: string;
  /** Other names, with their kinds: `DNS:a.example`, `URI:spiffe://example/a`, `email:a@example`, `IP:192.0.2.1`. */
  readonly names: readonly string[];
  /** Hexadecimal, upper case, as OpenSSL shows it. */
  readonly serial: string;
  /** SHA-256 of all of it, 64 hexadecimal digits in lower case. */
  readonly fingerprint: string;
  /** Wall-clock ms at which it ends. */
  readonly notAfterMs: number;
  /** The certificate itself, DER in base64. */
  readonly base64: string;
}

/** What a certificate says. Whether it is to be believed has been seen before. */
export function clientCertificate(of: X509Certificate): ClientCertificate {
  const subject = parts(of.subject);
  return {
    subject: subject.toReversed().join(','),
    commonName: commonName(subject),
    issuer: parts(of.issuer).toReversed().join(','),
    names: namesIn(of.subjectAltName ?? ''),
    serial: of.serialNumber,
    fingerprint: of.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfterMs: Date.parse(of.validTo),
    base64: of.raw.toString('base64'),
  };
}

/** Node gives one part a line, escaped as RFC 2253 has it; a line break in a value is escaped. */
function parts(name: string | undefined): readonly string[] {
  return name === undefined || name === '' ? [] : name.split('\n').map(ascii);
}

/** The last one: the most particular. A part may have several values, with ` + ` between them. */
function commonName(subject: readonly string[]): string {
  for (const part of subject.toReversed()) {
    const [, found] = /(?:^| \+ )CN=((?:\\.|[^\\])*?)(?: \+ |$)/.exec(part) ?? [];
    if (found !== undefined) return found;
  }
  return '';
}

/** `DNS:a, DNS:"b\u002c c", IP Address:::1`: what could be mistaken for a list is quoted as in JSON. */
function namesIn(list: string): readonly string[] {
  return [...list.matchAll(/([A-Za-z][^:,"]*):("(?:\\.|[^"\\])*"|[^,]*)(?:, |$)/g)].map(([, kind, value]) => {
    const plain = value!.startsWith('"') ? (JSON.parse(value!) as string) : value!;
    return ascii(`${kind === 'IP Address' ? 'IP' : kind!}:${plain.replaceAll(/[\\,]/g, '\\$&')}`);
  });
}

/** What is beyond printable ASCII as `\XX` for each byte of its UTF-8: two names never become one by it, since a backslash of theirs is escaped already. */
function ascii(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, (odd) =>
    [...Buffer.from(odd, 'utf8')].map((byte) => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}
