import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { choice, integer, list, text, textLike, toggle } from '../../schema/kind.ts';
import { pem, type Pem } from '../../schema/pem.ts';
import { setting, type Values } from '../../schema/setting.ts';
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
  isCa: setting({ kind: toggle(), group: PAIR, help: 'an authority from which certificates would be made; not possible yet', fallback: false }),
  acme: setting<string | null>({
    kind: text(),
    group: ACME,
    help: 'order the certificate; not possible yet, so a pair must be given',
    fallback: null,
    fallbackText: 'off',
  }),
  dnsChallenge: setting({ kind: toggle(), group: ACME, help: 'prove the domain by DNS', fallback: false }),
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
  bufferDays: setting({ kind: integer(0, 365), group: ACME, help: 'days before its end at which a certificate is ordered anew', fallback: 2 }),
} as const;

/** A pair for TLS listeners. */
export interface CertificateSettings {
  readonly name: string;
  /** Lower case, `*.example.com` for all names directly below. */
  readonly domains: readonly string[];
  /** They are those in the certificate, since the file names none. */
  readonly domainsOfCertificate: boolean;
  readonly cert: Pem;
  readonly key: Pem;
  readonly isDefault: boolean;
  /** Wall-clock ms. */
  readonly notAfterMs: number;
  /** Equal for equal settings and equal files. */
  readonly fingerprint: string;
}

/** @throws Wrong, whose part is the key to blame */
export function certificateSettings(name: string, values: Values<typeof certificateTable>, fingerprint: string): CertificateSettings {
  const { tlsCert, tlsKey } = values;
  if (values.isCa) throw new Wrong('cannot be obeyed: no certificates are made from an authority', 'give a certificate for each name', 'is_ca');
  if (tlsCert === null && values.acme !== null) {
    throw new Wrong(
      'cannot be obeyed: certificates are not ordered by Windlass',
      'give tls_cert and tls_key; they are read anew when they change',
      'acme',
    );
  }
  if (tlsCert === null) throw new Wrong('is missing', 'give the certificate chain and its key', 'tls_cert');
  if (tlsKey === null) throw new Wrong('is missing', "give the certificate's private key", 'tls_key');
  checkPair(tlsCert, tlsKey);
  const first = new X509Certificate(tlsCert.text);
  const domains = values.domains.length > 0 ? values.domains : namesIn(first);
  if (domains.length === 0 && !values.isDefault)
    throw new Wrong('is missing, and the certificate names none', 'give domains, or is_default = true', 'domains');
  return {
    name,
    domains: domains.map((domain) => domain.toLowerCase().replace(/\.$/, '')),
    domainsOfCertificate: values.domains.length === 0,
    cert: tlsCert,
    key: tlsKey,
    isDefault: values.isDefault,
    notAfterMs: Date.parse(first.validTo),
    fingerprint,
  };
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
