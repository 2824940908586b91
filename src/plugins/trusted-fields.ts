import { scalar } from '../schema/kind.ts';
import { Wrong } from '../schema/wrong.ts';

/** Fields that frame a message, say for whom it is, or are between us and others. */
const NOT_OURS =
  /^(?:host|content-length|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|proxy-.*|via|forwarded|x-forwarded-.*|sec-websocket-.*|windlass-.*|slime-.*)$/;

/** Name of a header that we vouch for: what a client sends under it is dropped first. */
export const trustedField = scalar('NAME', 'name of a header', (given) => trustedName(given));

/** @throws Wrong */
export function trustedName(given: string): string {
  const name = given.trim();
  if (!/^[A-Za-z][A-Za-z\d-]{0,63}$/.test(name)) throw new Wrong('is no name of a header', 'write it as X-User', name);
  if (NOT_OURS.test(name.toLowerCase())) throw new Wrong('is a header with a meaning of its own', 'choose another, such as X-User', name);
  return name;
}
