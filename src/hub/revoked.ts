import { Failure } from '../http/failure.ts';
import type { Log } from '../observe/log.ts';
import type { Session } from '../tunnel/session.ts';
import type { Revocations } from '../tunnel/revocations.ts';
import { readText } from '../config/read-text.ts';
import { SettingsError } from '../config/settings-error.ts';

/** A list of a hundred thousand tokens. */
const FILE_BYTES = 8 * 1024 * 1024;

/** Ids (or names) of revoked tokens: those of the settings, and those in a file, one a line, from # on a remark. @throws SettingsError when it cannot be read */
export function revokedTokens(given: readonly string[], path: string | null): readonly string[] {
  if (path === null) return given;
  let text: string;
  try {
    text = readText(path, FILE_BYTES);
  } catch (error) {
    // Nobody is let in by a list that is not there.
    throw new SettingsError([`the file of revoked tokens, ${path}, ${(error as Error).message}`]);
  }
  const lines = text.split('\n').map((line) => line.replace(/(^|\s)#.*$/, '').trim());
  return [...given, ...lines.filter((line) => line !== '')];
}

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
