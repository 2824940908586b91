import { secretCheck } from '../std/secret.ts';
import type { RequestHead } from '../http/head.ts';
import type { Standing } from './people.ts';
import { bearerOf, type Proof } from './proof.ts';
import type { Session, Sessions } from './sessions.ts';
import type { Tokens } from './tokens.ts';

/** The cookie's name. Cookies know no ports: two consoles of one machine, opened by the same name, share it. */
export const SESSION_COOKIE = 'windlass_session';

/** Sees who asks: by the local token, a token for scripts, or the cookie of a session. */
export class Gate {
  readonly #sessions: Sessions;
  readonly #tokens: Tokens;
  readonly #isLocal: (token: string) => boolean;

  constructor(sessions: Sessions, tokens: Tokens, localToken: string) {
    this.#sessions = sessions;
    this.#tokens = tokens;
    this.#isLocal = secretCheck(localToken);
  }

  /** Null: nobody known. A token that is wrong is not made good by a cookie; a password for something in front of us (Basic) is nothing to us. */
  readonly prove = (head: RequestHead): Proof | null => {
    const token = bearerOf(head);
    if (token === null) return this.#bySession(head);
    const standing = this.#isLocal(token) ? LOCAL : this.#tokens.use(token);
    const role = standing?.role() ?? null;
    if (standing === null || role === null) return null;
    return { asker: { name: standing.name, role, by: 'token' }, csrf: '', standing, stands: () => standing.role() === role };
  };

  /** The session whose cookie was sent; null: none that counts. */
  sessionOf(head: RequestHead): Session | null {
    for (const id of cookiesOf(head)) {
      const found = this.#sessions.use(id);
      if (found !== null) return found.session;
    }
    return null;
  }

  #bySession(head: RequestHead): Proof | null {
    const session = this.sessionOf(head);
    const role = session === null ? null : this.#sessions.roleOf(session);
    if (session === null || role === null) return null;
    const { standing, csrf } = session;
    return { asker: { name: standing.name, role, by: 'session' }, csrf, standing, stands: () => this.#sessions.roleOf(session) === role };
  }
}

/** Who may read the state folder. */
export const LOCAL: Standing = { name: 'local', role: () => 'admin' };

/** Values of the cookie: there may be several, of consoles at other paths of the same host. */
function* cookiesOf(head: RequestHead): Generator<string> {
  // Fields of HTTP/2 come in pieces, which are joined by commas.
  for (const part of (head.get('cookie') ?? '').split(/[;,]/)) {
    const [name, value] = part.trim().split('=', 2);
    if (name === SESSION_COOKIE && value !== undefined) yield value;
  }
}
