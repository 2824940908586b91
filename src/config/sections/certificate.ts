import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { acmeLimits } from '../../certs/acme/limits.ts';
import type { OrderTerms } from '../../certs/acme/ordered.ts';
import { Authority } from '../../certs/authority.ts';
import { isLoopback } from '../../schema/address.ts';
import { httpUrl } from '../../schema/http-url.ts';
import { choice, integer, type Kind, list, text, textLike, toggle } from '../../schema/kind.ts';
import { pem, type Pem } from '../../schema/pem.ts';
import { setting, tomlName, type Values } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';

const PAIR = 'The pair';
const ACME = 'Ordering certificates';

/** Settings of a certificate, section [certificates.NAME]. */
export const certificateTable = {
  domains: setting<readonly string[]>({
    kind: list(
      textLike(
        /^(?:\*\.)?[a-z\d_-]+(?:\.[a-z\d_-]+)*\.?$/i,
        'NAME',
        'name, or *.name for all directly below it',
        'write it as example.com or *.example.com',
      ),
    ),
    group: PAIR,
    help: 'names that clients ask for by SNI',
    fallback: [],
    fallbackText: 'those in the certificate',
  }),
  tlsCert: setting<Pem | null>({
    kind: pem('certificate chain'),
    group: PAIR,
    help: 'the certificate, and those that vouch for it',
    fallback: null,
    fallbackText: 'none',
  }),
  tlsKey: setting<Pem | null>({
    kind: pem('private key', true),
    group: PAIR,
    help: 'its private key, without a password',
    fallback: null,
    fallbackText: 'none',
  }),
  isDefault: setting({ kind: toggle(), group: PAIR, help: 'for clients that ask for a name that no certificate has, or for none', fallback: false }),
  isCa: setting({
    kind: toggle(),
    group: PAIR,
    help: 'an authority: certificates for domains (none = every name) are made with it when clients ask for them',
    fallback: false,
  }),
  acme: setting<'lets_encrypt' | 'lets_encrypt_staging' | null>({
    kind: orEmpty(choice(['lets_encrypt', 'lets_encrypt_staging'])),
    group: ACME,
    help: "order the certificate there, which agrees to that authority's terms; domains are proven over HTTP at port 80 (http-01)",
    fallback: null,
    fallbackText: 'off',
  }),
  acmeDirectory: setting<URL | null>({
    kind: httpUrl('https://acme.example.com/directory'),
    group: ACME,
    help: 'order it from the ACME server with this directory',
    fallback: null,
    fallbackText: "that of acme's authority",
  }),
  acmeCa: setting<Pem | null>({
    kind: pem('certificate authorities'),
    group: ACME,
    help: "who vouches for that server's own certificate",
    fallback: null,
    fallbackText: "Node's authorities",
  }),
  acmeEmail: setting<string | null>({
    kind: textLike(/^[^\s@,?&<>]+@[^\s@,?&<>]+$/, 'EMAIL', 'mail address', 'write it as name@example.com'),
    group: ACME,
    help: 'whom the authority writes to when something is wrong',
    fallback: null,
    fallbackText: 'nobody',
  }),
  acmeKeyType: setting<'ecdsa' | 'rsa'>({
    kind: choice(['ecdsa', 'rsa']),
    group: ACME,
    help: 'key of the certificate: ecdsa is P-256; rsa has 2048 bits, for clients from before 2010',
    fallback: 'ecdsa',
  }),
  acmeEabKid: setting<string | null>({
    kind: text(),
    group: ACME,
    help: 'names the account that you have with the authority (external account binding)',
    fallback: null,
    fallbackText: 'none',
  }),
  acmeEabHmacKey: setting<string | null>({
    kind: textLike(/^[\w-]+=*$/, 'KEY', 'key in base64url, as the authority shows it', 'copy it whole'),
    group: ACME,
    help: 'its key',
    fallback: null,
    fallbackText: 'none',
    secret: 'line',
  }),
  dnsChallenge: setting({ kind: toggle(), group: ACME, help: 'prove the domains over DNS (dns-01); not possible yet', fallback: false }),
  dnsProvider: setting<string | null>({
    kind: choice(['ali', 'aliyun', 'cf', 'cloudflare', 'tencent', 'huawei', 'manual']),
    group: ACME,
    help: 'who holds the DNS records',
    fallback: null,
    fallbackText: 'none',
  }),
  dnsServiceUrl: setting<string | null>({
    kind: text('URL', 'URL with credentials'),
    group: ACME,
    help: 'how to reach them',
    fallback: null,
    fallbackText: 'none',
    secret: 'line',
  }),
  bufferDays: setting<number | null>({
    kind: integer(0, 365),
    group: ACME,
    help: 'days before its end at which a certificate is ordered anew; never in the first half of its life',
    fallback: null,
    fallbackText: 'a third of its life',
  }),
} as const;

interface Common {
  readonly name: string;
  /** Lower case, `*.example.com` for all names directly below. */
  readonly domains: readonly string[];
  readonly isDefault: boolean;
  /** Equal for equal settings and equal files. */
  readonly fingerprint: string;
}

/** A pair for TLS listeners. */
export interface PairSettings extends Common {
  readonly of: 'pair';
  /** They are those in the certificate, since the file names none. */
  readonly domainsOfCertificate: boolean;
  readonly cert: Pem;
  readonly key: Pem;
  /** Wall-clock ms. */
  readonly notAfterMs: number;
}

/** An authority, from which pairs are made; without domains for every name. */
export interface AuthoritySettings extends Common {
  readonly of: 'authority';
  readonly cert: Pem;
  readonly key: Pem;
}

/** A pair that is ordered. */
export interface OrderSettings extends Common {
  readonly of: 'order';
  readonly order: Omit<OrderTerms, 'name' | 'domains' | 'isDefault'>;
}

/** What stands in a section of [certificates]. */
export type CertificateSettings = PairSettings | AuthoritySettings | OrderSettings;

type Given = Values<typeof certificateTable>;

/** @throws Wrong, whose part is the key to blame */
export function certificateSettings(name: string, values: Given, fingerprint: string): CertificateSettings {
  const { tlsCert, tlsKey } = values;
  const directoryUrl = directoryOf(values);
  const isOrdered = directoryUrl !== null;
  if (values.isCa && isOrdered) throw new Wrong('cannot be ordered: authorities come in files', 'leave acme out, or is_ca', 'is_ca');
  const lonely = isOrdered ? undefined : ORDER_ONLY.find((key) => values[key] !== null);
  if (lonely !== undefined)
    throw new Wrong('is for certificates that are ordered', 'give acme = "lets_encrypt" or acme_directory, too', tomlName(lonely));
  if (tlsCert === null && (tlsKey !== null || !isOrdered)) throw new Wrong('is missing', 'give the certificate chain and its key', 'tls_cert');
  if (tlsKey === null && tlsCert !== null) throw new Wrong('is missing', "give the certificate's private key", 'tls_key');
  if (tlsCert !== null) checkPair(tlsCert, tlsKey!);
  const written = values.domains.map((domain) => domain.toLowerCase().replace(/\.$/, ''));
  const common = { name, isDefault: values.isDefault, fingerprint };
  if (isOrdered) {
    checkOrder(values, written);
    return { of: 'order', ...common, domains: written, order: orderOf(values, directoryUrl) };
  }
  const [cert, key] = [tlsCert!, tlsKey!];
  if (values.isCa) {
    checkAuthority(cert, key);
    return { of: 'authority', ...common, domains: written, cert, key };
  }
  const first = new X509Certificate(cert.text);
  const domains = written.length > 0 ? written : namesIn(first);
  if (domains.length === 0 && !values.isDefault)
    throw new Wrong('is missing, and the certificate names none', 'give domains, or is_default = true', 'domains');
  return { of: 'pair', ...common, domains, domainsOfCertificate: written.length === 0, cert, key, notAfterMs: Date.parse(first.validTo) };
}

/** Keys that say nothing where nothing is ordered. */
const ORDER_ONLY = ['acmeCa', 'acmeEmail', 'acmeEabKid', 'acmeEabHmacKey'] as const;

const DIRECTORIES: ReadonlyMap<string, string> = new Map([
  ['lets_encrypt', 'https://acme-v02.api.letsencrypt.org/directory'],
  ['lets_encrypt_staging', 'https://acme-staging-v02.api.letsencrypt.org/directory'],
]);

/** Null: nothing is ordered. @throws Wrong */
function directoryOf({ acme, acmeDirectory }: Given): string | null {
  if (acmeDirectory === null) return acme === null ? null : DIRECTORIES.get(acme)!;
  if (acmeDirectory.protocol === 'http:' && !isLoopback(acmeDirectory.hostname.replaceAll(/[[\]]/g, '')))
    throw new Wrong('is plain HTTP: whoever listens in could order in your name', 'write it with https://', 'acme_directory');
  return acmeDirectory.href;
}

/** What no authority would give over HTTP. @throws Wrong */
function checkOrder(values: Given, domains: readonly string[]): void {
  if (values.dnsChallenge) {
    const fix = 'leave it out when port 80 of these names leads here, or have another tool renew tls_cert and tls_key, and leave acme out';
    throw new Wrong('cannot be obeyed: domains are proven over HTTP only (http-01)', fix, 'dns_challenge');
  }
  if (domains.length === 0) throw new Wrong('is missing', 'name those that are to be in the certificate', 'domains');
  if (domains.length > acmeLimits.names)
    throw new Wrong(`has ${domains.length} names, and a certificate has at most ${acmeLimits.names}`, 'make several of them', 'domains');
  const wild = domains.find((domain) => domain.startsWith('*.'));
  if (wild !== undefined) {
    const fix = 'write single names, or have another tool renew tls_cert and tls_key, and leave acme out';
    throw new Wrong(`has ${wild} in it, which can be proven over DNS only (dns-01), and here is HTTP (http-01)`, fix, 'domains');
  }
  const address = domains.find((domain) => isIP(domain) !== 0);
  if (address !== undefined) throw new Wrong(`has ${address} in it, for which nothing can be ordered`, 'write names', 'domains');
  const twice = domains.find((domain, i) => domains.indexOf(domain) !== i);
  if (twice !== undefined) throw new Wrong(`has ${twice} in it twice`, 'name it once', 'domains');
  if ((values.acmeEabKid === null) !== (values.acmeEabHmacKey === null)) {
    const [given, other] = values.acmeEabKid === null ? ['acme_eab_hmac_key', 'acme_eab_kid'] : ['acme_eab_kid', 'acme_eab_hmac_key'];
    throw new Wrong('stands alone', `give ${other} as well`, given);
  }
}

function orderOf(values: Given, directoryUrl: string): OrderSettings['order'] {
  const { acmeEabKid: kid, acmeEabHmacKey: hmacKey, tlsCert, tlsKey, bufferDays } = values;
  return {
    directoryUrl,
    ca: values.acmeCa?.text ?? null,
    email: values.acmeEmail,
    external: kid === null || hmacKey === null ? null : { kid, hmacKey },
    keyType: values.acmeKeyType,
    renewBeforeMs: bufferDays === null ? null : bufferDays * 86_400_000,
    initial: tlsCert === null || tlsKey === null ? null : { cert: tlsCert.text, key: tlsKey.text },
  };
}

/** @throws Wrong about `tls_cert` */
function checkAuthority(cert: Pem, key: Pem): void {
  try {
    new Authority(cert.text, key.text, () => Date.now());
  } catch (error) {
    throw new Wrong((error as Error).message, 'give the certificate and the key of an authority, RSA or EC, or leave is_ca out', 'tls_cert');
  }
}

/** @throws Wrong about `tls_key` when the two do not belong together */
export function checkPair(cert: Pem, key: Pem): void {
  try {
    tls.createSecureContext({ cert: cert.text, key: key.text });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH')
      throw new Wrong('is not the key of tls_cert', 'give the key with which that certificate was made', 'tls_key');
    throw new Wrong(`cannot be used with tls_cert (${code ?? 'unknown'})`, 'give an RSA or EC key of usual length', 'tls_key');
  }
}

/** The names that a certificate is for, lower case. */
export function namesIn(certificate: X509Certificate): readonly string[] {
  return [...(certificate.subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,]+)/g)].map(([, name]) => name!.toLowerCase().replace(/\.$/, ''));
}

/** Pingap's files have an empty text where nothing is ordered. */
function orEmpty<T>(kind: Kind<T>): Kind<T | null> {
  return {
    ...kind,
    parse: (texts) => (texts.at(-1) === '' ? null : kind.parse(texts)),
    fromToml: (value, folder) => (value === '' ? null : kind.fromToml(value, folder)),
    format: (value) => (value === null ? '' : kind.format(value)),
    json: { anyOf: [kind.json, { enum: [''] }] },
  };
}
