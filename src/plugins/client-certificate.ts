// HOT: request() looks three texts up.
import { list, text, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { definePlugin } from '../proxy/plugin.ts';
import { denial } from './denial.ts';

/** Lets in by the certificate that was shown in the TLS handshake. */
export const clientCertificatePlugin = definePlugin({
  name: 'client_certificate',
  summary: 'lets in clients by the certificate that they have shown',
  steps: ['request'],
  settings: {
    commonNames: setting<readonly string[]>({
      kind: list(text('NAME', 'common name')),
      group: 'Who',
      help: 'common names (CN) that get in',
      fallback: [],
      fallbackText: 'none by this',
    }),
    names: setting<readonly string[]>({
      kind: list(textLike(/^(?:DNS|URI|email|IP):./, 'KIND:NAME', 'other name with its kind', 'write it as URI:spiffe://example/a or DNS:a.example')),
      group: 'Who',
      help: 'other names of certificates that get in',
      fallback: [],
      fallbackText: 'none by this',
    }),
    fingerprints: setting<readonly string[]>({
      kind: list(
        textLike(
          /^[\dA-Fa-f]{2}(?::?[\dA-Fa-f]{2}){31}$/,
          'SHA256',
          'SHA-256 of a certificate',
          'openssl x509 -noout -fingerprint -sha256 -in FILE shows it',
        ),
      ),
      group: 'Who',
      help: 'SHA-256 of certificates that get in, with colons or without',
      fallback: [],
      fallbackText: 'none by this',
    }),
    message: setting({ kind: text(), group: 'Answer', help: 'what those are told who may not', fallback: 'A client certificate is needed here' }),
  },
  create({ commonNames, names, fingerprints, message }) {
    const anybody = commonNames.length + names.length + fingerprints.length === 0;
    const byCommonName = new Set(commonNames);
    const byName = new Set(names);
    const byFingerprint = new Set(fingerprints.map((given) => given.replaceAll(':', '').toLowerCase()));
    const refusal = denial(403, message);
    return {
      request(exchange) {
        const certificate = exchange.request.clientCertificate;
        if (certificate === null) return refusal;
        const may =
          anybody ||
          (certificate.commonName !== '' && byCommonName.has(certificate.commonName)) ||
          byFingerprint.has(certificate.fingerprint) ||
          certificate.names.some((name) => byName.has(name));
        if (!may) return refusal;
        // The answer is for this client: caches must not give it to others.
        exchange.hadAuthorization = true;
        return undefined;
      },
    };
  },
});
