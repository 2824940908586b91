import { createHash } from 'node:crypto';
import { Failure } from '../http/failure.ts';
import type { AgentClaims } from '../tunnel/native/accept.ts';
import type { Revocations } from '../tunnel/revocations.ts';
import { isSlimeToken, openSlimeToken, slimeKey } from '../tunnel/slime/token.ts';
import { createKeyring, isOver, openToken } from '../tunnel/token.ts';
import { REVOKED } from './revoked.ts';

/** Whose tokens are good. */
export interface Seals {
  /** Empty: no token of ours is good. */
  readonly secrets: readonly string[];
  /** Of hubs of slime; absent or empty: no token of theirs is good. */
  readonly slimeSecrets?: readonly string[];
}

/** Judges agent tokens: what a good one proves, or why it is none. `wall`: the time, Unix ms. */
export function authenticator(
  { secrets, slimeSecrets = [] }: Seals,
  revocations: Revocations,
  wall: () => number,
): (token: string) => AgentClaims | Failure {
  const ofOurs = oursOf(secrets, wall);
  const ofSlime = slimeOf(slimeSecrets, wall);
  // Agents of slime show theirs with every request.
  const good = new Map<string, AgentClaims>();
  const open = (token: string): AgentClaims | Failure => {
    const known = good.get(token);
    if (known !== undefined && !isOver(known.expiresMs, wall())) return known;
    good.delete(token);
    const claims = isSlimeToken(token) ? ofSlime(token) : ofOurs(token);
    if (claims instanceof Failure) return claims;
    if (good.size >= GOOD_TOKENS) good.delete(good.keys().next().value!);
    good.set(token, claims);
    return claims;
  };
  return (token) => {
    const claims = open(token);
    return !(claims instanceof Failure) && revocations.has(claims) ? new Failure('unauthorized', REVOKED) : claims;
  };
}

/** Good tokens that are remembered; the oldest make room. */
const GOOD_TOKENS = 1_000;

function oursOf(secrets: readonly string[], wall: () => number): (token: string) => AgentClaims | Failure {
  // Only where agents prove who they are in another way.
  if (secrets.length === 0) return () => new Failure('unauthorized', 'no agent token is taken here');
  const keyring = createKeyring(secrets);
  const each = secrets.map((secret) => ({ name: secretName(secret), keyring: createKeyring([secret]) }));
  return (token) => {
    const opened = openToken(token, keyring, wall());
    if ('reason' in opened) return new Failure('unauthorized', WHY[opened.reason]);
    const { id: tokenId, name, scopes, scopePaths, expiresMs, labels } = opened;
    const sealedBy = each.find((one) => !('reason' in openToken(token, one.keyring, wall())))?.name ?? '';
    return { tokenId, name, scopes, scopePaths, expiresMs, labels, sealedBy };
  };
}

function slimeOf(secrets: readonly string[], wall: () => number): (token: string) => AgentClaims | Failure {
  if (secrets.length === 0)
    return () => new Failure('unauthorized', 'the agent token was issued by slime, which needs --slime-secret-file here, or is not a token');
  const keys = secrets.map(slimeKey);
  const each = secrets.map((secret) => ({ name: slimeSecretName(secret), keys: [slimeKey(secret)] }));
  return (token) => {
    const opened = openSlimeToken(token, keys, wall());
    if ('reason' in opened) return new Failure('unauthorized', WHY[opened.reason]);
    const sealedBy = each.find((one) => !('reason' in openSlimeToken(token, one.keys, wall())))?.name ?? '';
    const { id, name, scopes, scopePaths, expiresMs } = opened;
    return { tokenId: String(id), name: plainName(name), scopes, scopePaths, expiresMs, labels: NO_LABELS, sealedBy };
  };
}

const NO_LABELS: ReadonlyMap<string, string> = new Map();
/** Characters of a token's name in logs and pages. */
const NAME_LENGTH = 100;

/** slime looks at no name. */
function plainName(name: string): string {
  return name.replace(/\p{C}/gu, '').slice(0, NAME_LENGTH);
}

/** Of all secrets that count. */
export function secretNames({ secrets, slimeSecrets = [] }: Seals): ReadonlySet<string> {
  return new Set([...secrets.map(secretName), ...slimeSecrets.map(slimeSecretName)]);
}

/** The same text may be both: then it is two secrets. */
function slimeSecretName(secret: string): string {
  return `slime ${secretName(secret)}`;
}

/** Stands for a secret where it is only asked whether two are the same. */
function secretName(secret: string): string {
  return createHash('sha256').update('windlass agent secret\0').update(secret).digest('base64url');
}

const WHY = {
  malformed: 'the agent token is not a token',
  foreign: "the agent token was not issued with this hub's secret",
  expired: 'the agent token has expired: issue a new one with "windlass hub register"',
};
