import { randomBytes, randomInt } from 'node:crypto';
import { hubTable } from '../config/hub.ts';
import { registerTable } from '../config/register.ts';
import { formatDuration } from '../schema/duration.ts';
import { sealSlimeToken, slimeKey } from '../tunnel/slime/token.ts';
import { createKeyring, sealToken, type TokenClaims } from '../tunnel/token.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { twoWords } from './two-words.ts';
import { UsageError } from './usage-error.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { values, sources } = await settingsOf(registerTable, invocation, hubTable);
  const now = Date.now();
  const isSlime = values.format === 'slime';
  const claims: TokenClaims = {
    id: values.id ?? (isSlime ? String(randomInt(1, 2 ** 47)) : randomBytes(10).toString('hex')),
    name: values.name ?? twoWords(randomInt),
    scopes: values.scopes,
    scopePaths: values.scopePaths,
    issuedMs: now,
    expiresMs: values.age === 0 ? 0 : now + values.age,
    labels: values.label,
  };
  const token = isSlime ? sealForSlime(claims, values.slimeSecret[0] ?? values.secret[0]) : seal(claims, values.secret);
  const expires = claims.expiresMs === 0 ? null : new Date(claims.expiresMs).toISOString();
  if (args.switches.has('json')) {
    const { id, name, scopes, scopePaths } = claims;
    const labels = Object.fromEntries(claims.labels);
    world.stdout.write(`${JSON.stringify({ token, id, name, scopes, scopePaths, labels, expires })}\n`);
    return 0;
  }
  const lines = [
    `agent token for ${claims.name} (id ${claims.id})`,
    `  works   ${expires === null ? 'for ever' : `until ${expires} (${formatDuration(values.age)})`}`,
    `  scopes  ${claims.scopes.join(', ') || 'none'}`,
    `  paths   ${claims.scopePaths.join(', ') || 'all'}`,
    `  labels  ${[...claims.labels].map(([label, value]) => `${label}=${value}`).join(', ') || 'any'}`,
  ];
  const { level, path, name } = sources.get(isSlime && values.slimeSecret.length > 0 ? 'slimeSecret' : 'secret')!;
  if (level === 'flag' && path === null) lines.push(`  note    ${name} was readable in the process list; ${name}-file PATH keeps it out`);
  world.stderr.write(`${lines.join('\n')}\n`);
  // The contract with scripts: the token alone on the last line of standard output.
  world.stdout.write(`${token}\n`);
  return 0;
}

/** Tokens of slime carry no labels, and their ids are numbers. */
function sealForSlime(claims: TokenClaims, secret: string | undefined): string {
  if (secret === undefined) throw new UsageError('hub register: --slime-secret is missing: the secret that the hub of slime runs with');
  if (claims.labels.size > 0) throw new UsageError('hub register: --label has no place in a token of slime; leave it out');
  if (!/^\d{1,15}$/.test(claims.id)) throw new UsageError('hub register: the --id of a token of slime is a number of at most 15 digits');
  const { name, expiresMs, scopePaths, scopes } = claims;
  try {
    return sealSlimeToken({ id: BigInt(claims.id), name, expiresMs, scopePaths, scopes }, slimeKey(secret));
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`hub register: this ${error.message}`);
    throw error;
  }
}

function seal(claims: TokenClaims, secrets: readonly string[]): string {
  try {
    return sealToken(claims, createKeyring(secrets));
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`hub register: this ${error.message}`);
    throw error;
  }
}
