import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { scalar, type Kind } from './kind.ts';
import type { Pem } from './pem.ts';
import { Wrong } from './wrong.ts';

/** A public key, with the text and file it was read from. */
export interface PublicKey extends Pem {
  readonly key: KeyObject;
}

/** Public keys are small. */
const FILE_BYTES_MAX = 64 * 1024;
const BEGIN = '-----BEGIN';

/** A public key: PEM text, PEM in base64, or the path of a PEM file, which is read. A private key is refused: it has no business here. */
export function publicKey(): Kind<PublicKey> {
  const says = 'path of a PEM file, PEM text, or that in base64';
  const kind = scalar<PublicKey>('PEM', says, (given) => read(given, ''), { format: ({ path }) => path ?? 'PEM' });
  return {
    ...kind,
    fromToml: (value, folder) => {
      if (typeof value !== 'string') throw new Wrong('is not text', `write text in quotes: ${says}`);
      return read(value, folder);
    },
  };
}

function read(given: string, folder: string): PublicKey {
  const { path, text } = textOf(given, folder);
  if (text.includes('PRIVATE KEY')) throw new Wrong('holds a private key', 'give the public one: openssl pkey -in KEY -pubout');
  try {
    return { path, text, key: createPublicKey(text) };
  } catch {
    throw new Wrong('holds no PEM public key that can be used', `it begins with ${BEGIN} PUBLIC KEY-----`);
  }
}

function textOf(given: string, folder: string): Pem {
  if (given.includes(BEGIN)) return { path: null, text: given };
  // How base64 of PEM begins.
  if (given.startsWith('LS0tLS1CRUdJTi')) return { path: null, text: Buffer.from(given, 'base64').toString('latin1') };
  const path = resolve(folder, given);
  try {
    if (statSync(path).size > FILE_BYTES_MAX) throw new Wrong(`is larger than ${FILE_BYTES_MAX} bytes`, 'give the path of a PEM file');
    return { path, text: readFileSync(path, 'latin1') };
  } catch (error) {
    if (error instanceof Wrong) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new Wrong(code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown'})`, 'give the path of a PEM file, or PEM text');
  }
}
