import { scryptSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { CHECKS_WAITING } from './limits.ts';
import type { PasswordHash } from './password-hash.ts';
import { Passwords } from './passwords.ts';

/** A hash that counts how often it is worked with. */
function counting(password: string): PasswordHash & { used: number } {
  const salt = Buffer.from('salt salt');
  const hash = scryptSync(password, salt, 32, { N: 1024 });
  return {
    ln: 10,
    r: 8,
    p: 1,
    hash,
    used: 0,
    get salt() {
      this.used++;
      return salt;
    },
  };
}

test('[threat 64] a user that is not there takes the work of one that is', async () => {
  const ann = counting('right');
  const passwords = new Passwords(new Map([['ann', ann]]));
  expect(await passwords.check('ann', 'wrong', '1')).toBe(false);
  expect(ann.used).toBe(1);
  expect(await passwords.check('nobody', 'wrong', '2')).toBe(false);
  expect(ann.used).toBe(2);
  // Not even with the password of the one whose hash stood in.
  expect(await passwords.check('nobody', 'right', '3')).toBe(false);
  expect(passwords.isRight('3')).toBe(false);
});

test('what was right is remembered, what runs is shared, and those that wait are bounded', async () => {
  const ann = counting('right');
  const passwords = new Passwords(new Map([['ann', ann]]));
  const first = passwords.check('ann', 'right', 'digest');
  expect(passwords.pending('digest')).toBe(first);
  expect(passwords.isRight('digest')).toBe(false);
  expect(await first).toBe(true);
  expect(passwords.isRight('digest')).toBe(true);
  expect(passwords.pending('digest')).toBeNull();
  expect(passwords.isFull).toBe(false);
  const more = Array.from({ length: CHECKS_WAITING + 2 }, (_none, i) => passwords.check('ann', `guess ${i}`, `guess ${i}`));
  expect(passwords.isFull).toBe(true);
  expect(await Promise.all(more)).toEqual(more.map(() => false));
  expect(passwords.isFull).toBe(false);
});
