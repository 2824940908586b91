import { createHash } from 'node:crypto';
import { Failure } from '../http/failure.ts';
import type { AgentClaims } from '../tunnel/native/accept.ts';
import type { Revocations } from '../tunnel/revocations.ts';
import { createKeyring, openToken } from '../tunnel/token.ts';
import { REVOKED } from './revoked.ts';

/** Judges agent tokens: what a good one proves, or why it is none. `wall`: the time, Unix ms. */
export function authenticator(secrets: readonly string[], revocations: Revocations, wall: () => number): (token: string) => AgentClaims | Failure {
  // Only where agents prove who they are in another way.
  if (secrets.length === 0) return () => new Failure('unauthorized', 'no agent token is taken here');
  const keyring = createKeyring(secrets);
  const each = secrets.map((secret) => ({ name: secretName(secret), keyring: createKeyring([secret]) }));
  return (token) => {
    const opened = openToken(token, keyring, wall());
    if ('reason' in opened) return new Failure('unauthorized', WHY[opened.reason]);
    const { id: tokenId, name, scopes, scopePaths, expiresMs, labels } = opened;
    const sealedBy = each.find((one) => !('reason' in openToken(token, one.keyring, wall())))?.name ?? '';
    const claims = { tokenId, name, scopes, scopePaths, expiresMs, labels, sealedBy };
    return revocations.has(claims) ? new Failure('unauthorized', REVOKED) : claims;
  };
}

/** Stands for a secret where it is only asked whether two are the same. */
export function secretName(secret: string): string {
  return createHash('sha256').update('windlass agent secret\0').update(secret).digest('base64url');
}

const WHY = {
  malformed: 'the agent token is not a token',
  foreign: "the agent token was not issued with this hub's secret",
  expired: 'the agent token has expired: issue a new one with "windlass hub register"',
};
