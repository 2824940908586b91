import type { QueueInfo } from './model.ts';
import { readPaging } from './paging.ts';
import { type AdminRoute, Problem } from './route.ts';

/** Requests that wait for slots. */
export interface QueueBackend {
  /** `limit`: how many of those who wait are listed; numbers count all. */
  info(limit: number): Promise<QueueInfo>;
  /** Answers a request that waits with the failure `cancelled`. @returns false when it does not wait (any more) */
  cancel(id: string, by: string): Promise<boolean>;
}

/** The queue: who waits, and one that is to wait no more. */
export function queueRoutes(backend: QueueBackend): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/queue',
      role: 'read',
      summary: 'Requests that wait for a slot, in the order in which slots go to them.',
      query: { limit: 'How many to list; 100 when absent.' },
      handle: async ({ query }) => ({ json: await backend.info(readPaging(query, 100, LISTED).limit) }),
    },
    {
      method: 'DELETE',
      path: '/queue/{id}',
      role: 'operate',
      summary: 'Cancels a request that waits: its client is answered 503 with the code cancelled.',
      handle: async ({ parameters, asker }) => {
        if (!(await backend.cancel(parameters['id'] ?? '', asker!.name)))
          throw new Problem(404, 'not_waiting', 'No request with this id waits: it has a slot by now, or has left.');
        return { status: 204, json: null };
      },
    },
  ];
}

/** Requests in one answer. */
const LISTED = 1_000;
