import type { FailureCode } from './failure.ts';

/**
 * A connect error as a failure: the reason a person needs, never the stack. Null: the other side closed without a word. `inHandshake`: TCP was up, and
 * TLS had begun.
 */
export function connectFailure(error: Error | null, inHandshake = false): readonly [code: FailureCode, detail: string] {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  if (inHandshake && (code === '' || code === 'ECONNRESET' || code === 'EPIPE'))
    return ['tls_failed', `the upstream ended the connection in the TLS handshake${code === '' ? '' : ` (${code})`}: does this port speak TLS?`];
  switch (code) {
    case 'ECONNREFUSED':
      return ['connect_refused', 'the upstream refuses connections (ECONNREFUSED): is the service running?'];
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return ['name_not_found', `the upstream's name does not resolve (${code})`];
    case 'EMFILE':
    case 'ENFILE':
      return ['out_of_descriptors', `no file descriptor left for a connection to the upstream (${code})`];
    case '':
      return ['connect_failed', 'the upstream closed the connection while it was being opened'];
    default: {
      const words = CERTIFICATE.get(code);
      const refusal = refusalWords(code);
      if (refusal !== undefined) return ['tls_failed', `the upstream ${refusal} (${code})`];
      if (words !== undefined) return ['tls_failed', `the upstream's certificate ${words} (${code})`];
      if (code === 'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE' || (code === 'EPROTO' && error!.message.includes('alert handshake failure')))
        return ['tls_failed', `the upstream ended the handshake (${code}): no cipher in common, or it wants a client certificate`];
      if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO')
        return ['tls_failed', `the upstream does not answer in TLS (${code}): does this port speak it?`];
      if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO/.test(code)) return ['tls_failed', `TLS with the upstream failed (${code})`];
      return ['connect_failed', `the upstream cannot be reached (${code})`];
    }
  }
}

/** What the other side says of the certificate that it was shown, or was not: the end of a sentence, by the code of its alert. */
export function refusalWords(code: string): string | undefined {
  return REFUSALS.get(code);
}

const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'wants a client certificate'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'does not know the authority of the client certificate'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'says that the client certificate has expired'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED', 'says that the client certificate has been revoked'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', 'does not take the client certificate'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'does not take the client certificate, or wants one'],
  ['ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE', 'cannot use the client certificate'],
  ['ERR_SSL_TLSV1_ALERT_ACCESS_DENIED', 'does not let this client certificate in'],
]);

/** What is wrong with a certificate, as the end of a sentence, by OpenSSL's or Node's code. */
export function certificateWords(code: string): string | undefined {
  return CERTIFICATE.get(code);
}

/** What is wrong with a certificate. Names in it are left out: an answer may carry this text. */
const CERTIFICATE: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'has expired'],
  ['CERT_NOT_YET_VALID', 'is not valid yet'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'is for another name'],
  ['ERR_TLS_CERT_ALTNAME_FORMAT', 'has names that cannot be read'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'is self-signed'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'comes from an authority that is not believed'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'comes from an authority that is not known'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'comes from an authority that is not known'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'comes without the certificates between it and an authority, or from one that is not known'],
  ['CERT_REVOKED', 'has been revoked'],
  ['CERT_UNTRUSTED', 'is not trusted'],
  ['CERT_REJECTED', 'is rejected'],
  ['CERT_SIGNATURE_FAILURE', 'has a bad signature'],
  ['CERT_CHAIN_TOO_LONG', 'has too long a chain'],
  ['INVALID_CA', 'comes from an authority that may not issue it'],
  ['INVALID_PURPOSE', 'is not for servers'],
  ['HOSTNAME_MISMATCH', 'is for another name'],
]);
