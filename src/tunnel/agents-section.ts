import { duration, list, path, secrets, siblings, textLike } from '../schema/kind.ts';
import { setting, type Values } from '../schema/setting.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';

const TOKENS = 'Tokens';
const HUBS = 'Hubs';

/** What names a token. */
export const tokenIds = list(textLike(/^[\w.:-]{1,64}$/, 'ID', 'token id', 'write the id that "windlass hub register" prints'));

/** Settings of section [agents]: who may dial in. On which servers they may is said there (`accepts`). */
export const agentsTable = {
  secret: setting({
    kind: secrets(),
    group: TOKENS,
    help: 'seals agent tokens; a file may hold several lines: the first seals, all open',
    hint: 'openssl rand -hex 32 makes a good one',
    secret: 'lines',
  }),
  revoked: setting<readonly string[]>({
    kind: tokenIds,
    group: TOKENS,
    help: 'ids of tokens that count no more; sessions of theirs are cut',
    fallback: [],
    fallbackText: 'none',
  }),
  revokedFile: setting<string | null>({
    kind: path('file of token ids, one a line, # begins a remark'),
    group: TOKENS,
    help: 'more of them, read anew at each reload',
    fallback: null,
    fallbackText: 'none',
  }),
  knownFor: setting({
    kind: duration(30 * 86_400_000),
    group: TOKENS,
    help: 'how long an agent that left counts as away; after that, what only it served is 404',
    fallback: 86_400_000,
  }),
  hubId: setting<string | null>({
    kind: textLike(/^[\w.-]{1,64}$/, 'NAME', 'name', 'use up to 64 letters, digits, dots and dashes'),
    group: HUBS,
    help: 'names this hub to agents and in logs',
    fallback: null,
    fallbackText: 'random',
  }),
  siblings: setting<ReadonlyMap<string, UpstreamUrl>>({
    kind: siblings(),
    group: HUBS,
    help: 'other hubs by their ids, and where agents reach them: every agent that comes here dials them too',
    fallback: new Map(),
    fallbackText: 'none',
  }),
} as const;

/** Section [agents], checked. */
export type AgentsSettings = Values<typeof agentsTable>;
