import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { configLimits } from './limits.ts';
import { readText } from './read-text.ts';
import { SettingsError } from './settings-error.ts';

/** Trust in the certificates of a PEM file beside those that Node believes anyway; undefined without a file. Made once: reading all of them takes milliseconds. @throws SettingsError */
export function authorities(caFile: string | null): tls.SecureContext | undefined {
  if (caFile === null) return undefined;
  let text: string;
  try {
    text = readText(caFile, configLimits.secretFileBytes * 64);
  } catch (error) {
    throw new SettingsError([`--ca-file ${JSON.stringify(caFile)} ${(error as Error).message}; give the path of a PEM file`]);
  }
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
    if (certificates.length === 0) throw new Error('nothing there');
  } catch {
    throw new SettingsError([
      `--ca-file ${JSON.stringify(caFile)} holds no PEM certificate that can be read; it begins with -----BEGIN CERTIFICATE-----`,
    ]);
  }
  return tls.createSecureContext({ ca: [...believed(), ...certificates], minVersion: 'TLSv1.2' });
}

/** NODE_EXTRA_CA_CERTS included where Node tells of it (22.15 and later). */
function believed(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => readonly string[] };
  return getCACertificates === undefined ? tls.rootCertificates : getCACertificates('default');
}
