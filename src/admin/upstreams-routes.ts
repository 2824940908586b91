import type { Page, UpstreamInfo } from './model.ts';
import { pagingQuery, type Paging, readPaging } from './paging.ts';
import { type AdminAnswer, type AdminRequest, type AdminRoute, Problem } from './route.ts';

/** Whom requests are sent to. */
export interface UpstreamsBackend {
  /** By name. `query`: part of a name or of an endpoint; '' = all. */
  list(asked: Paging & { readonly query: string }): Promise<Page<UpstreamInfo>>;
  /** Null: there is none of this name. */
  upstream(name: string): Promise<UpstreamInfo | null>;
  /** `endpoint`: its id, or its host as it stands in the configuration: then all that it leads to. @throws Problem */
  takeOut(name: string, endpoint: string, is: boolean, by: string): Promise<UpstreamInfo>;
}

/** Upstreams: how their endpoints are, and which of them get requests. */
export function upstreamsRoutes(backend: UpstreamsBackend): readonly AdminRoute[] {
  const turn = async ({ parameters, body, asker }: AdminRequest, is: boolean): Promise<AdminAnswer> => ({
    json: await backend.takeOut(parameters['name'] ?? '', endpointIn(body), is, asker!.name),
  });
  return [
    {
      method: 'GET',
      path: '/upstreams',
      role: 'read',
      summary: 'Upstreams with their endpoints, and how those are.',
      query: { query: 'Part of the name of an upstream, or of an endpoint.', ...pagingQuery },
      handle: async ({ query }) => ({ json: await backend.list({ ...readPaging(query, LISTED, LISTED), query: query.get('query')?.trim() ?? '' }) }),
    },
    {
      method: 'GET',
      path: '/upstreams/{name}',
      role: 'read',
      summary: 'One upstream.',
      handle: async ({ parameters }) => {
        const found = await backend.upstream(parameters['name'] ?? '');
        if (found === null) throw new Problem(404, 'no_such_upstream', 'There is no upstream of this name.');
        return { json: found };
      },
    },
    {
      method: 'POST',
      path: '/upstreams/{name}/out',
      role: 'operate',
      summary: 'Takes an endpoint out: it gets no requests until it is put back, or leaves the configuration.',
      body: ENDPOINT,
      audit: ({ body }) => endpointIn(body),
      handle: (request) => turn(request, true),
    },
    {
      method: 'POST',
      path: '/upstreams/{name}/in',
      role: 'operate',
      summary: 'Puts an endpoint back that was taken out.',
      body: ENDPOINT,
      audit: ({ body }) => endpointIn(body),
      handle: (request) => turn(request, false),
    },
  ];
}

/** Upstreams in one answer. */
const LISTED = 1_000;

const ENDPOINT = { type: 'object', required: ['endpoint'], properties: { endpoint: { type: 'string', minLength: 1, maxLength: 300 } } };

function endpointIn(body: unknown): string {
  return (body as { readonly endpoint: string }).endpoint;
}
