import { expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { isPassword, parsePasswordHash } from '../plugins/basic-auth/password-hash.ts';
import { run } from './run.ts';

test('hash-password reads a password from standard input and prints its hash, or a line for users', async () => {
  const alone = fakeWorld({}, { '-': 'pa:ss wörd\n' });
  expect(await run(['hash-password'], alone)).toBe(0);
  expect(await isPassword(Buffer.from('pa:ss wörd'), parsePasswordHash(alone.out().trim()))).toBe(true);
  const line = fakeWorld({}, { '-': 'secret' });
  expect(await run(['hash-password', '--user', 'alice'], line)).toBe(0);
  expect(line.out()).toMatch(/^alice:\$scrypt\$ln=15,r=8,p=1\$[^$\n]+\$[^$\n]+\n$/);
});

test.each([
  [[], '', 'standard input holds no password'],
  [[], 'one\ntwo\n', 'standard input holds several lines'],
  [['--user', 'a:b'], 'x', 'is not of the right form'],
  [['canary'], 'x', 'canary'],
])('[threat 63] hash-password %j with %j says what is wrong', async (words, input, said) => {
  const world = fakeWorld({}, { '-': input });
  expect(await run(['hash-password', ...words], world)).toBe(2);
  if (said === 'canary') expect(world.err()).not.toContain('canary');
  else expect(world.err()).toContain(said);
  expect(world.out()).toBe('');
});
