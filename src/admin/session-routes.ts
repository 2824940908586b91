import type { Clock } from '../std/clock.ts';
import type { HeaderList, RequestHead } from '../http/head.ts';
import type { Gate } from './gate.ts';
import { SESSION_COOKIE } from './gate.ts';
import { adminLimits } from './limits.ts';
import type { Login } from './login.ts';
import type { SessionInfo } from './model.ts';
import type { People, Standing } from './people.ts';
import { type AdminAnswer, type AdminRequest, type AdminRoute, Problem } from './route.ts';
import type { Session, Sessions } from './sessions.ts';
import type { Tickets } from './tickets.ts';

/** What lets people in. */
export interface SessionBackend {
  readonly people: People;
  readonly login: Login;
  readonly sessions: Sessions;
  readonly tickets: Tickets;
  readonly gate: Gate;
  readonly clock: Clock;
}

/** Logging in, by password or by link, and out. */
export function sessionRoutes(backend: SessionBackend): AdminRoute[] {
  const { people, login, sessions, tickets, gate } = backend;
  const enter = ({ head, base }: AdminRequest, standing: Standing): AdminAnswer => {
    // Who logs in anew has a new id, and the old one is none any more.
    const before = gate.sessionOf(head);
    if (before !== null) sessions.close(before);
    const { id, session } = sessions.open(standing);
    return { json: infoOf(session, backend), fields: cookie(head, base, id, '') };
  };
  return [
    {
      method: 'POST',
      path: '/session',
      role: 'anybody',
      summary: 'Logs in with name and password; the answer sets a cookie.',
      body: {
        type: 'object',
        required: ['user', 'password'],
        properties: { user: { type: 'string', maxLength: adminLimits.nameCharacters }, password: { type: 'string' } },
      },
      audit: ({ body }) => `as ${(body as Credentials).user}`,
      handle: async (request) => {
        const { user, password } = request.body as Credentials;
        return enter(request, people.standingOf(await login.enter(user, password, request.head.client)));
      },
    },
    {
      method: 'POST',
      path: '/session/ticket',
      role: 'anybody',
      summary: 'Logs in by a link that was made before, which counts once; the answer sets a cookie.',
      body: { type: 'object', required: ['ticket'], properties: { ticket: { type: 'string', maxLength: 200 } } },
      audit: () => 'by a link',
      handle: (request) => {
        const standing = tickets.redeem((request.body as { readonly ticket: string }).ticket);
        if (standing === null) throw new Problem(401, 'bad_ticket', 'This link was used already, or is too old; make another with windlass console.');
        return enter(request, standing);
      },
    },
    {
      method: 'GET',
      path: '/session',
      role: 'read',
      summary: 'Says who you are, and what to send as Windlass-CSRF.',
      handle: ({ head, asker }) => {
        const session = asker!.by === 'session' ? gate.sessionOf(head) : null;
        if (session !== null) return { json: infoOf(session, backend) };
        const info: SessionInfo = { user: asker!.name, role: asker!.role, by: 'token', csrf: '', expiresAtMs: 0 };
        return { json: info };
      },
    },
    {
      method: 'DELETE',
      path: '/session',
      role: 'read',
      summary: 'Logs out: the cookie counts no more.',
      handle: ({ head, base, asker }) => {
        const session = asker!.by === 'session' ? gate.sessionOf(head) : null;
        if (session !== null) sessions.close(session);
        return { status: 204, json: null, fields: cookie(head, base, '', '; Max-Age=0') };
      },
    },
    {
      method: 'POST',
      path: '/session/tickets',
      role: 'admin',
      summary: 'Makes a link that lets one browser in, once, within five minutes, as whoever asks for it.',
      handle: ({ head, base }) => {
        const ticket = tickets.issue(gate.prove(head)!.standing);
        return { status: 201, json: { ticket, url: `${isSecure(head) ? 'https' : 'http'}://${head.authority}${base}/#ticket=${ticket}` } };
      },
    },
  ];
}

interface Credentials {
  readonly user: string;
  readonly password: string;
}

function infoOf(session: Session, { sessions, clock }: SessionBackend): SessionInfo {
  const { standing, csrf } = session;
  const role = sessions.roleOf(session);
  if (role === null) throw new Problem(401, 'unauthorized', 'This session is over; log in again.');
  return { user: standing.name, role, by: 'session', csrf, expiresAtMs: Math.round(clock.wall() + sessions.leftMs(session)) };
}

/** No script sees it, no other site sends it, and over TLS it never goes without. */
function cookie(head: RequestHead, base: string, id: string, more: string): HeaderList {
  return ['Set-Cookie', `${SESSION_COOKIE}=${id}; Path=${base}/; HttpOnly; SameSite=Strict${isSecure(head) ? '; Secure' : ''}${more}`];
}

function isSecure(head: RequestHead): boolean {
  return head.peer.scheme === 'https' || (head.peer.trusted && head.get('x-forwarded-proto') === 'https');
}
