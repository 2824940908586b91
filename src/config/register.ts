import { choice, duration, labels, list, scalar, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { hubTable } from './hub.ts';

const TOKEN = 'The token';

/** Settings of `hub register`. The secret is that of section [hub], so that one file serves both; the rest belongs to one token and stands in no file. */
export const registerTable = {
  secret: {
    ...hubTable.secret,
    hint: 'the one that the hub runs with',
    optionalIf: { setting: 'format', value: 'slime', fallback: [] },
  },
  format: setting<'windlass' | 'slime'>({
    kind: choice(['windlass', 'slime']),
    group: TOKEN,
    help: 'slime: a token for hubs of slime too, sealed with --slime-secret, or with --secret where that is not given',
    fallback: 'windlass',
    inFile: false,
  }),
  slimeSecret: { ...hubTable.slimeSecret, group: TOKEN, help: 'the secret that the hub of slime runs with', fallbackText: '--secret' },
  name: setting<string | null>({
    kind: textLike(/^[^\p{C}]{1,100}$/u, 'NAME', 'name', 'use 1 to 100 printable characters'),
    group: TOKEN,
    help: 'name for people',
    fallback: null,
    fallbackText: 'two random words',
    slime: true,
    inFile: false,
  }),
  age: setting({
    // A hundred years: longer than any secret should last, and a date that every program can write.
    kind: duration(100 * 365.25 * 86_400_000),
    group: TOKEN,
    help: 'how long the token works; 0 = for ever',
    fallback: 0,
    slime: true,
    inFile: false,
  }),
  scopes: setting<readonly string[]>({
    kind: list(textLike(/^[^\p{C}\s,]{1,100}$/u, 'SCOPE', 'scope', 'use 1 to 100 characters without spaces')),
    group: TOKEN,
    help: 'requests with Slime-Scope go to agents that carry the scope',
    fallback: [],
    fallbackText: 'none',
    slime: true,
    inFile: false,
  }),
  scopePaths: setting<readonly string[]>({
    kind: list(scalar('PATH', 'exact path', scopePath)),
    group: TOKEN,
    help: 'serve exactly these paths',
    fallback: [],
    fallbackText: 'all paths',
    slime: true,
    inFile: false,
  }),
  label: setting<ReadonlyMap<string, string>>({
    kind: labels(),
    group: TOKEN,
    help: "the only values that the agent's labels of these names may have",
    fallback: new Map(),
    fallbackText: 'none: it announces what it likes',
    aliases: ['labels'],
    inFile: false,
  }),
  id: setting<string | null>({
    kind: textLike(/^[\w.:-]{1,64}$/, 'ID', 'id', 'use up to 64 letters, digits and . : - _'),
    group: TOKEN,
    help: 'names the token in logs and where it is revoked',
    fallback: null,
    fallbackText: 'random',
    inFile: false,
  }),
} as const;

function scopePath(given: string): string {
  if (!given.startsWith('/')) throw new Wrong('does not begin with /', `write /${given}`);
  if (given.endsWith('*')) throw new Wrong('has a * at its end', 'scope paths are exact; list each path');
  if (!/^[\x21-\x7e]{1,500}$/.test(given)) throw new Wrong('has characters that a path may not have', 'percent-encode them');
  if (/[?#]/.test(given)) throw new Wrong('has a query', 'end it before the ?');
  return given;
}
