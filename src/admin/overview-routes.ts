import type { Overview, Topology } from './model.ts';
import type { AdminRoute } from './route.ts';

/** How the whole fares, and how its parts hang together. */
export interface OverviewBackend {
  overview(): Promise<Overview>;
  topology(): Promise<Topology>;
}

/** The first page of the console. */
export function overviewRoutes(backend: OverviewBackend): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/overview',
      role: 'read',
      summary: 'The last five minutes, second by second; what fails, and what is not well.',
      handle: async () => ({ json: await backend.overview() }),
    },
    {
      method: 'GET',
      path: '/topology',
      role: 'read',
      summary:
        'Servers, locations, upstreams, and their endpoints and agents, with what goes from one to the other now; at most 40 of a kind, busiest first.',
      handle: async () => ({ json: await backend.topology() }),
    },
  ];
}
