import { Failure } from '../http/failure.ts';
import type { Log } from '../observe/log.ts';
import type { Session } from '../tunnel/session.ts';
import type { Revocations } from '../tunnel/revocations.ts';

/** Cuts the sessions of revoked tokens, at once and not in order: whoever has such a token may be anybody (threat row 35). */
export function cutRevoked(sessions: Iterable<Session>, revocations: Revocations, log: Log): void {
  for (const session of sessions) {
    const { id, tokenId, name } = session.agent;
    if (!revocations.has(session.agent)) continue;
    log.warn({ agent: id, token: tokenId, name }, 'the token of this agent has been revoked: its session is cut');
    session.close(new Failure('unauthorized', REVOKED));
  }
}

/** What the agent is told. */
export const REVOKED = 'the agent token has been revoked: ask for a new one';
