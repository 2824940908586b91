import { expect, test } from 'vitest';
import { secretCheck } from './secret.ts';

test('secrets are equal only when every character is, whatever their length [threat 64]', () => {
  const long = 'x'.repeat(1_000_000);
  for (const [a, b, same] of [
    ['', '', true],
    ['s3cret', 's3cret', true],
    ['s3cret', 's3cre', false],
    ['s3cret', 'S3cret', false],
    ['é', 'e\u0301', false],
    [long, long, true],
    [long, `${long}y`, false],
  ] as const) {
    expect(secretCheck(b)(a)).toBe(same);
  }
});

test('a password beyond ASCII is recognised in a header field, whose bytes are read as latin1', () => {
  const asReadFromTheWire = Buffer.from('пароль').toString('latin1');
  expect(secretCheck('пароль', 'latin1')(asReadFromTheWire)).toBe(true);
  expect(secretCheck('пароль')(asReadFromTheWire)).toBe(false);
});
