import { signal } from '@preact/signals';
import type { SessionInfo } from '../../src/admin/model.ts';
import { api, session } from './api/client.ts';
import { ApiError } from './api/problem.ts';
import { href, place, placeOf } from './router.ts';

/** Why the link that led here has not let anybody in; null when it has, or there was none. */
export const ticketError = signal<ApiError | null>(null);

/** Waits between tries while the server is away, ms. */
const RETRY_MS = 2_000;

/** Takes the ticket out of `#ticket=…`, and out of the address bar and its history: `to` stands there then. */
export function takeTicket(to = '#/'): string | null {
  const found = /^#\/?ticket=([^&]+)/.exec(location.hash);
  if (found === null) return null;
  history.replaceState(null, '', `${location.pathname}${location.search}${to}`);
  place.value = placeOf(to);
  return decodeURIComponent(found[1]!);
}

/** Follows a new link into a page that is open already: the browser only changes the address then. Called once, by the entry, before the router listens. */
export function watchTickets(): void {
  addEventListener('hashchange', () => {
    const { screen, rest, query } = place.peek();
    const ticket = takeTicket(href(screen, rest, Object.fromEntries(query)));
    if (ticket !== null) void whoIsThere(ticket);
  });
}

/** Finds out who looks at the page: by a ticket, else by the session that the browser still has. While the server is away it goes on asking. */
export async function whoIsThere(ticket: string | null): Promise<void> {
  for (;;) {
    try {
      session.value = ticket === null ? await api.get<SessionInfo>('session') : await api.post<SessionInfo>('session/ticket', { ticket });
      if (ticket !== null) ticketError.value = null;
      return;
    } catch (error) {
      const known = error instanceof ApiError ? error : new ApiError(0, '', String(error));
      if (!known.away) {
        if (ticket === null) {
          session.value = null;
          return;
        }
        ticketError.value = known;
        ticket = null;
        continue;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

export async function logIn(user: string, password: string): Promise<void> {
  session.value = await api.post<SessionInfo>('session', { user, password });
  ticketError.value = null;
}
