import { duration, text, textLike } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { definePlugin, type Reply } from '../../proxy/plugin.ts';
import { denial } from '../denial.ts';
import { CsrfTokens } from './token.ts';

/** Methods that change nothing (RFC 9110 9.2.1). */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Keeps other sites from sending forms in the name of who is logged in: a token that only our own pages can read must come twice. */
export const csrfPlugin = definePlugin({
  name: 'csrf',
  summary: 'keeps other sites from sending requests in the name of visitors (a signed cookie that comes as a header, too)',
  steps: ['request'],
  settings: {
    tokenPath: setting({
      kind: textLike(/^\/[\x21-\x7e]*$/, 'PATH', 'path', 'begin it with /'),
      group: 'Token',
      help: 'a GET of it brings a token, as cookie and as header',
      hint: 'write token_path = "/csrf-token"',
    }),
    key: setting({ kind: text('SECRET', 'text'), group: 'Token', help: 'signs tokens', secret: 'line' }),
    name: setting({
      kind: textLike(/^[A-Za-z][\w-]{0,63}$/, 'NAME', 'name of a header', 'write it as x-csrf-token'),
      group: 'Token',
      help: 'name of the header and the cookie',
      fallback: 'x-csrf-token',
    }),
    ttl: setting({ kind: duration(), group: 'Token', help: 'how long a token is good; 0 = for ever', fallback: 12 * 3_600_000 }),
  },
  create({ tokenPath, key, name, ttl }, { clock }) {
    if (key.length < 8) throw new Wrong('has a key of less than 8 characters', 'write 32 random ones');
    const tokens = new CsrfTokens(key, ttl);
    const refusal = (why: string): Reply => denial(401, why, ['WWW-Authenticate', 'CSRF']);
    const missing = refusal(`${name} is missing`);
    const wrong = refusal(`${name} is wrong or too old`);
    const age = ttl === 0 ? '' : `; Max-Age=${Math.floor(ttl / 1000)}`;
    return {
      request({ request }) {
        const { method } = request;
        const isSafe = SAFE.has(method);
        if (isSafe && request.path === tokenPath && method === 'GET' && request.upgrade === '') {
          const token = tokens.make(clock.wall());
          // Scripts of our pages must read it, so it is not HttpOnly; by itself it opens nothing. Other sites neither read nor send it.
          const cookie = `${name}=${token}; Path=/; SameSite=Strict${age}${request.scheme === 'https' ? '; Secure' : ''}`;
          return { status: 204, headers: ['Set-Cookie', cookie, name, token, 'Cache-Control', 'no-store'] };
        }
        if (isSafe && request.upgrade === '') return undefined;
        const cookie = request.cookie(name);
        if (cookie === undefined) return missing;
        // No page can give a WebSocket a header; that the cookie came says that it is one of ours that asks.
        if (request.upgrade === '') {
          const header = request.header(name);
          if (header === undefined) return missing;
          // Both come from the client: there is nothing of ours to be found out by comparing them.
          if (header !== cookie) return wrong;
        }
        return tokens.isGood(cookie, clock.wall()) ? undefined : wrong;
      },
    };
  },
});
