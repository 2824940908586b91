import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import tls from 'node:tls';
import { scalar, type Kind } from './kind.ts';
import { Wrong } from './wrong.ts';

/** Certificates or a key as PEM. */
export interface Pem {
  /** The file it was read from, to be watched; null: it stood in the setting. */
  readonly path: string | null;
  readonly text: string;
}

/** Certificates, or (`isKey`) a private key: PEM text, PEM in base64, or the path of a PEM file, which is read. What is no PEM is refused. */
export function pem(says: string, isKey = false): Kind<Pem> {
  return pemKind(says, isKey ? checkKey : checkCertificates);
}

/** Lists of certificates that were taken back, as PEM. */
export function revocationLists(): Kind<Pem> {
  return pemKind('lists of revoked certificates', checkRevocationLists);
}

function pemKind(says: string, check: (text: string) => void): Kind<Pem> {
  const read = (given: string, folder: string): Pem => {
    const found = pemOf(given, folder);
    check(found.text);
    return found;
  };
  const kind = scalar<Pem>('PEM', `${says}: path of a PEM file, PEM text, or that in base64`, (given) => read(given, ''), {
    format: ({ path }) => path ?? '***',
    redact: (given) => (isInline(given) ? '***' : given),
  });
  return {
    ...kind,
    fromToml: (value, folder) => {
      if (typeof value !== 'string') throw new Wrong('is not text', `write text in quotes: ${kind.says}`);
      return read(value, folder);
    },
  };
}

function pemOf(given: string, folder: string): Pem {
  if (given.includes(BEGIN)) return { path: null, text: given };
  if (isInline(given)) {
    const text = Buffer.from(given, 'base64').toString('latin1');
    if (!text.includes(BEGIN)) throw new Wrong('is neither PEM nor base64 of it', `PEM begins with ${BEGIN}; or give the path of a file`);
    return { path: null, text };
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
  if (given === '' || /[\u0000-\u001f\u007f]/.test(given)) throw new Wrong('is neither PEM nor a path', `PEM begins with ${BEGIN}`);
  const path = resolve(folder, given);
  try {
    if (statSync(path).size > FILE_BYTES_MAX) throw new Wrong(`is larger than ${FILE_BYTES_MAX} bytes`, 'give the path of a PEM file');
    return { path, text: readFileSync(path, 'latin1') };
  } catch (error) {
    if (error instanceof Wrong) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'may not be read by this user' : `cannot be read (${code ?? 'unknown'})`;
    throw new Wrong(why, 'give the path of a PEM file');
  }
}

const BEGIN = '-----BEGIN';

/** A thousand certificates. */
const FILE_BYTES_MAX = 1024 * 1024;

/** `LS0t…` is how base64 of PEM begins; no path of that length is without a dot. */
function isInline(given: string): boolean {
  return given.includes(BEGIN) || given.startsWith('LS0tLS1CRUdJTi') || (given.length > 200 && /^[A-Za-z\d+/=\s]+$/.test(given));
}

function checkCertificates(text: string): void {
  const blocks = certificatesIn(text);
  if (blocks.length === 0) throw new Wrong('holds no PEM certificate', 'it begins with -----BEGIN CERTIFICATE-----');
  blocks.forEach((block, i) => {
    try {
      new X509Certificate(block);
    } catch {
      const which = blocks.length === 1 ? 'a certificate' : `certificate ${i + 1} of ${blocks.length}`;
      throw new Wrong(`holds ${which} that cannot be read`, 'export it anew as PEM');
    }
  });
}

/** The certificates of a PEM text, each with its frame. */
export function certificatesIn(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
}

function checkRevocationLists(text: string): void {
  const lists = text.match(/-----BEGIN X509 CRL-----[^]*?-----END X509 CRL-----/g) ?? [];
  if (lists.length === 0) throw new Wrong('holds no PEM list of revoked certificates', 'it begins with -----BEGIN X509 CRL-----');
  try {
    tls.createSecureContext({ crl: lists });
  } catch {
    throw new Wrong('holds a list that cannot be read', 'export it anew as PEM');
  }
}

function checkKey(text: string): void {
  try {
    createPrivateKey(text);
  } catch (error) {
    const isLocked = /ENCRYPTED/.test(text) || (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE';
    if (isLocked) throw new Wrong('holds a key with a password', 'take the password away: openssl pkey -in KEY -out NEW');
    throw new Wrong('holds no PEM key that can be used', 'it begins with -----BEGIN PRIVATE KEY-----');
  }
}
