import { Buffer } from 'node:buffer';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { octets, oid, retagged, sequence, setOf, truth, utf8 } from './der.ts';

/** Longest common name (RFC 5280 A.1). */
const COMMON_NAME_CHARACTERS = 64;

/** The extension that says for which names and addresses a certificate is (RFC 5280 4.2.1.6); it must be understood where nothing else names the subject. */
export function alternativeNames(names: readonly string[], isAllThereIs = false): Buffer {
  const general = names.map((name) =>
    isIP(name) === 0 ? retagged(2, Buffer.from(name, 'latin1')) : retagged(7, Buffer.from(ipaddr.parse(name).toByteArray())),
  );
  return sequence(oid('2.5.29.17'), ...(isAllThereIs ? [truth()] : []), octets(sequence(...general)));
}

/** A distinguished name with nothing but a common name; empty where that is empty or would be too long. */
export function commonName(name: string): Buffer {
  if (name === '' || name.length > COMMON_NAME_CHARACTERS) return sequence();
  return sequence(setOf(sequence(oid('2.5.4.3'), utf8(name))));
}
