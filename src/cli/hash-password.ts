import { hashPasswordTable } from '../config/hash-password.ts';
import { hashPassword } from '../plugins/basic-auth/password-hash.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { UsageError } from './usage-error.ts';

/** Longer ones are mistakes. */
const PASSWORD_BYTES_MAX = 1024;

export async function run(invocation: Invocation): Promise<number> {
  const { values } = await settingsOf(hashPasswordTable, invocation);
  const hash = await hashPassword(Buffer.from(passwordOf(invocation), 'utf8'));
  invocation.world.stdout.write(`${values.user === null ? '' : `${values.user}:`}${hash}\n`);
  return 0;
}

function passwordOf({ world }: Invocation): string {
  let text: string;
  try {
    text = world.readText('-', PASSWORD_BYTES_MAX);
  } catch (error) {
    throw new UsageError(`hash-password: standard input ${(error as Error).message}; write the password into it`);
  }
  const [password = '', ...rest] = text.replace(/\r?\n$/, '').split(/\r?\n/);
  if (password === '') throw new UsageError("hash-password: standard input holds no password; printf '%s' PASSWORD | windlass hash-password");
  if (rest.length > 0) throw new UsageError('hash-password: standard input holds several lines; give one password');
  return password;
}
