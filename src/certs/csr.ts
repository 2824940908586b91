import type { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import { integer, oid, sequence, setOf, tagged } from './der.ts';
import { alternativeNames, commonName } from './names.ts';
import { publicInfo, signed } from './signing.ts';

/** A request for a certificate for these names (PKCS #10, RFC 2986), DER, signed with the key that it is for. The names stand where they count, the subject is empty. */
export function certificateRequest(names: readonly string[], key: KeyObject): Buffer {
  const extensions = sequence(oid('1.2.840.113549.1.9.14'), setOf(sequence(alternativeNames(names))));
  return signed(sequence(integer(0), commonName(''), publicInfo(key), tagged(0, extensions)), key);
}
