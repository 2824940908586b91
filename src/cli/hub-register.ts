import { randomBytes, randomInt } from 'node:crypto';
import { hubTable } from '../config/hub.ts';
import { registerTable } from '../config/register.ts';
import { formatDuration } from '../schema/duration.ts';
import { createKeyring, sealToken, type TokenClaims } from '../tunnel/token.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { twoWords } from './two-words.ts';
import { UsageError } from './usage-error.ts';

export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { values, sources } = await settingsOf(registerTable, invocation, hubTable);
  const now = Date.now();
  const claims: TokenClaims = {
    id: values.id ?? randomBytes(10).toString('hex'),
    name: values.name ?? twoWords(randomInt),
    scopes: values.scopes,
    scopePaths: values.scopePaths,
    issuedMs: now,
    expiresMs: values.age === 0 ? 0 : now + values.age,
    labels: values.label,
  };
  const token = seal(claims, values.secret);
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
  const { level, path, name } = sources.get('secret')!;
  if (level === 'flag' && path === null) lines.push(`  note    ${name} was readable in the process list; ${name}-file PATH keeps it out`);
  world.stderr.write(`${lines.join('\n')}\n`);
  // The contract with scripts: the token alone on the last line of standard output.
  world.stdout.write(`${token}\n`);
  return 0;
}

function seal(claims: TokenClaims, secrets: readonly string[]): string {
  try {
    return sealToken(claims, createKeyring(secrets));
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`hub register: this ${error.message}`);
    throw error;
  }
}
