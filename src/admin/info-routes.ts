import type { Broadcast } from './broadcast.ts';
import type { Info } from './model.ts';
import { openApi } from './openapi.ts';
import type { AdminRoute } from './route.ts';

/** What the program says of itself. */
export interface InfoBackend {
  info(): Info;
  readonly broadcast: Pick<Broadcast, 'join'>;
  /** All routes there are, these included. */
  routes(): readonly AdminRoute[];
}

/** What this is, what it can do, and what happens. */
export function infoRoutes(backend: InfoBackend): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/info',
      role: 'read',
      summary: 'Says what program this is, since when it runs, and where it listens.',
      handle: () => ({ json: backend.info() }),
    },
    {
      method: 'GET',
      path: '/openapi.json',
      role: 'anybody',
      summary: 'Describes this API (OpenAPI 3.1).',
      handle: ({ base }) => ({ json: openApi(backend.routes(), base) }),
    },
    {
      method: 'GET',
      path: '/events',
      role: 'read',
      summary: 'Tells what happens as it happens: `tick` each second with numbers, `change` when something else is other than before.',
      handle: () => ({ events: backend.broadcast.join }),
    },
  ];
}
