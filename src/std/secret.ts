import { createHash, hash, timingSafeEqual } from 'node:crypto';

/**
 * Is what was given the secret? Takes the same time wherever they differ, and for whatever length (digests are compared). The expected secret is digested
 * once: for checks that run per request.
 * A header field's text is its bytes read as latin1: say so, and a password beyond ASCII is compared as the UTF-8 it was sent as.
 */
export function secretCheck(expected: string, encoding: 'utf8' | 'latin1' = 'utf8'): (given: string) => boolean {
  const wanted = digest(expected);
  if (encoding === 'latin1') return (given) => timingSafeEqual(digest(Buffer.from(given, 'latin1')), wanted);
  return (given) => timingSafeEqual(digest(given), wanted);
}

// Node 20.19 has the one-shot hash(), a third of the price of createHash(); a build without it still works.
const digest: (data: string | Buffer) => Buffer =
  typeof hash === 'function' ? (data) => hash('sha256', data, 'buffer') : (data) => createHash('sha256').update(data).digest();
