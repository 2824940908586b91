import { createHash, hash, randomBytes } from 'node:crypto';

/**
 * Makes names of texts that nobody else can compute: secrets are looked up in tables by them, because how long that takes, and where two names
 * differ, tells nothing of the secrets. The key is new for each digest.
 */
export function keyedDigest(): (text: string) => string {
  const key = randomBytes(32).toString('base64');
  return (text) => digest(key + text);
}

// Node 20.19 has the one-shot hash(), a third of the price of createHash(); a build without it still works.
const digest: (text: string) => string =
  typeof hash === 'function' ? (text) => hash('sha256', text, 'base64') : (text) => createHash('sha256').update(text).digest('base64');
