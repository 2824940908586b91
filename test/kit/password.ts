import { randomBytes, scryptSync } from 'node:crypto';

/** The cheapest hash that is taken: what `windlass hash-password` prints takes 50 ms each time, which tests need not. */
export function cheapHash(password: string): string {
  const salt = randomBytes(16);
  const plain64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
  return `$scrypt$ln=10,r=8,p=1$${plain64(salt)}$${plain64(scryptSync(password, salt, 32, { N: 1024 }))}`;
}
