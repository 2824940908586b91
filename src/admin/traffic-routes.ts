import type { Page, TrafficItem, TrafficSettings, TrafficStory } from './model.ts';
import { readPaging } from './paging.ts';
import { type AdminRoute, Problem } from './route.ts';
import { filterQuery, readTrafficFilter, type TrafficFilter } from './traffic-filter.ts';

/** The last exchanges, as far as they are kept. */
export interface TrafficBackend {
  /** The latest first; `before`: id of one, and only those that came earlier. */
  list(filter: TrafficFilter, limit: number, before: string | null): Promise<Page<TrafficItem>>;
  story(id: string): Promise<TrafficStory | null>;
  /** Told of each that ends. @returns ends it */
  follow(filter: TrafficFilter, heard: (item: TrafficItem) => void, missed: (count: number) => void): () => void;
  settings(): Promise<TrafficSettings>;
  change(settings: TrafficSettings): Promise<TrafficSettings>;
  clear(): Promise<void>;
  /** @returns the id of the new one, or why there is none; null: that one is not kept */
  replay(id: string): Promise<{ readonly id: string } | { readonly why: string } | null>;
}

/** The live view of requests. */
export function trafficRoutes(backend: TrafficBackend): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/traffic',
      role: 'read',
      summary: 'The last requests, those that run included, the latest first, as far as they are kept.',
      query: { ...filterQuery, limit: 'How many; 100 when absent, at most 1,000.', before: 'Id of a request: only those that came before it.' },
      handle: async ({ query }) => ({
        json: await backend.list(readTrafficFilter(query), readPaging(query, 100, LISTED).limit, query.get('before') || null),
      }),
    },
    {
      method: 'GET',
      path: '/traffic/events',
      role: 'read',
      summary:
        'Requests as they end: events `open` once at the beginning, `exchange`, and `missed` with how many were left out since there were too many.',
      query: filterQuery,
      handle: ({ query }) => {
        const filter = readTrafficFilter(query);
        return {
          events: (out) => {
            const end = backend.follow(
              filter,
              (item) => out.send('exchange', item),
              (count) => out.send('missed', { count }),
            );
            // Who then asks for the list has not missed anything in between.
            out.send('open', {});
            return end;
          },
        };
      },
    },
    {
      method: 'GET',
      path: '/traffic/settings',
      role: 'read',
      summary: 'Are requests kept, and how many?',
      handle: async () => ({ json: await backend.settings() }),
    },
    {
      method: 'PUT',
      path: '/traffic/settings',
      role: 'operate',
      summary: 'Keeps so many requests from now on, or none.',
      body: {
        type: 'object',
        properties: { enabled: { type: 'boolean' }, size: { type: 'integer', minimum: 1, maximum: KEPT_MOST } },
        required: ['enabled', 'size'],
        additionalProperties: false,
      },
      audit: ({ body }) => JSON.stringify(body),
      handle: async ({ body }) => ({ json: await backend.change(body as TrafficSettings) }),
    },
    {
      method: 'DELETE',
      path: '/traffic',
      role: 'operate',
      summary: 'Forgets the requests that are kept.',
      handle: async () => {
        await backend.clear();
        return { status: 204, json: null };
      },
    },
    {
      method: 'GET',
      path: '/traffic/{id}',
      role: 'read',
      summary: 'All of one request: where its time went, its heads without secrets, and a curl line.',
      handle: async ({ parameters }) => {
        const story = await backend.story(parameters['id']!);
        if (story === null) throw gone();
        return { json: story };
      },
    },
    {
      method: 'POST',
      path: '/traffic/{id}/replay',
      role: 'operate',
      summary: 'Sends a request without a body once more, as its client did; the answer is thrown away, but for its head.',
      handle: async ({ parameters }) => {
        const outcome = await backend.replay(parameters['id']!);
        if (outcome === null) throw gone();
        if ('why' in outcome) throw new Problem(409, 'no_replay', `It cannot be sent again: ${outcome.why}.`);
        return { status: 202, json: outcome };
      },
    },
  ];
}

/** Requests in one answer, and requests that may be kept. */
const LISTED = 1_000;
const KEPT_MOST = 100_000;

function gone(): Problem {
  return new Problem(404, 'not_kept', 'This request is not kept (any more).');
}
