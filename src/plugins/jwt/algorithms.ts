import type { KeyObject } from 'node:crypto';
import { scalar } from '../../schema/kind.ts';
import { Wrong } from '../../schema/wrong.ts';

const HMAC = ['HS256', 'HS384', 'HS512'];
const RSA = ['RS256', 'RS384', 'RS512'];
const PSS = ['PS256', 'PS384', 'PS512'];
const EDWARDS = ['EdDSA', 'Ed25519'];
const CURVES: ReadonlyMap<string, readonly string[]> = new Map([
  ['prime256v1', ['ES256']],
  ['secp384r1', ['ES384']],
  ['secp521r1', ['ES512']],
]);

/** Those with a public key. */
export const ASYMMETRIC: readonly string[] = [...RSA, ...PSS, 'ES256', 'ES384', 'ES512', ...EDWARDS];

/** A JWS algorithm. There is none that signs nothing. */
export const algorithmKind = scalar('ALGORITHM', 'one of HS256 to HS512, RS256 to RS512, PS256 to PS512, ES256 to ES512, EdDSA', (given) => {
  const found = [...HMAC, ...ASYMMETRIC].find((one) => one.toLowerCase() === given.toLowerCase());
  if (found === undefined) throw new Wrong('is no algorithm that can be used', 'choose HS256, RS256, PS256, ES256 or EdDSA');
  return found;
});

export function isHmac(algorithm: string): boolean {
  return HMAC.includes(algorithm);
}

/** What a public key can check. @throws Wrong when it can check nothing */
export function algorithmsOf(key: KeyObject): readonly string[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if ((type === 'rsa' || type === 'rsa-pss') && (details?.modulusLength ?? 0) < 2048)
    throw new Wrong('has a public_key of less than 2048 bits', 'make a longer one');
  if (type === 'rsa') return [...RSA, ...PSS];
  if (type === 'rsa-pss') return PSS;
  if (type === 'ed25519') return EDWARDS;
  const found = type === 'ec' ? CURVES.get(details?.namedCurve ?? '') : undefined;
  if (found === undefined)
    throw new Wrong(`has a public_key of type ${type}, which signs no tokens`, 'give one of RSA, P-256, P-384, P-521 or Ed25519');
  return found;
}
