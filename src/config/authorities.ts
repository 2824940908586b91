import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { certificatesIn } from '../schema/pem.ts';
import { configLimits } from './limits.ts';
import { readText } from './read-text.ts';
import { SettingsError } from './settings-error.ts';

/** A certificate that is shown to servers that ask for one, with its chain and its key, PEM. */
export interface ShownPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Trust in the certificates of a PEM file beside those that Node believes anyway, and what is shown to who asks; undefined without both. Made once:
 * reading all of them takes milliseconds. @throws SettingsError
 */
export function authorities(caFile: string | null, shown: ShownPair | null = null): tls.SecureContext | undefined {
  if (caFile === null && shown === null) return undefined;
  const ca = caFile === null ? {} : { ca: [...believed(), ...readCertificates('--ca-file', caFile)] };
  return tls.createSecureContext({ ...ca, ...shown, minVersion: 'TLSv1.2' });
}

/** The certificates of a PEM file. @throws SettingsError */
export function readCertificates(flag: string, file: string): readonly string[] {
  let text: string;
  try {
    text = readText(file, configLimits.secretFileBytes * 64);
  } catch (error) {
    throw new SettingsError([`${flag} ${JSON.stringify(file)} ${(error as Error).message}; give the path of a PEM file`]);
  }
  const certificates = certificatesIn(text);
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
    if (certificates.length === 0) throw new Error('nothing there');
  } catch {
    throw new SettingsError([
      `${flag} ${JSON.stringify(file)} holds no PEM certificate that can be read; it begins with -----BEGIN CERTIFICATE-----`,
    ]);
  }
  return certificates;
}

/** NODE_EXTRA_CA_CERTS included where Node tells of it (22.15 and later). */
function believed(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => readonly string[] };
  return getCACertificates === undefined ? tls.rootCertificates : getCACertificates('default');
}
