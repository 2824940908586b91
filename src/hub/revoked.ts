import { Failure } from '../http/failure.ts';
import type { Log } from '../observe/log.ts';
import type { Session } from '../tunnel/session.ts';
import type { Revocations } from '../tunnel/revocations.ts';

/**
 * Cuts the sessions of tokens that have been revoked, or whose secret is none of ours any more; at once and not in order: whoever has such a token may
 * be anybody (threat row 35). `secretNames`: of the secrets that count.
 */
export function cutRevoked(sessions: Iterable<Session>, revocations: Revocations, secretNames: ReadonlySet<string>, log: Log): void {
  for (const session of sessions) {
    const { id, tokenId, name, sealedBy } = session.agent;
    const isForeign = sealedBy !== undefined && !secretNames.has(sealedBy);
    if (!isForeign && !revocations.has(session.agent)) continue;
    const what = isForeign ? 'the secret that sealed the token of this agent is gone' : 'the token of this agent has been revoked';
    log.warn({ agent: id, token: tokenId, name }, `${what}: its session is cut`);
    session.close(new Failure('unauthorized', isForeign ? 'the hub has given up the secret of this agent token: ask for a new one' : REVOKED));
  }
}

/** What the agent is told. */
export const REVOKED = 'the agent token has been revoked: ask for a new one';
