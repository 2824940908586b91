import { expect, test } from 'vitest';
import { openApi } from './openapi.ts';
import type { AdminRoute } from './route.ts';

const handle: AdminRoute['handle'] = () => ({ json: null });

const ROUTES: readonly AdminRoute[] = [
  { method: 'GET', path: '/openapi.json', role: 'anybody', summary: 'describes', handle },
  { method: 'GET', path: '/agents/{id}', role: 'read', summary: 'one', query: { sort: 'by what' }, handle },
  { method: 'DELETE', path: '/agents/{id}', role: 'admin', summary: 'away', handle },
  {
    method: 'POST',
    path: '/agents',
    role: 'admin',
    summary: 'more',
    body: {
      type: 'object',
      properties: { labels: { type: 'object', additionalProperties: { type: 'string' } }, in: { type: 'object', properties: {} } },
    },
    handle,
  },
  { method: 'PUT', path: '/text', role: 'admin', summary: 'text', body: 'text', handle },
  { method: 'GET', path: '/events', role: 'read', summary: 'happens', handle },
];

interface Operation {
  readonly operationId: string;
  readonly security?: unknown;
  readonly requestBody: { readonly content: Record<string, { readonly schema: unknown }> };
  readonly responses: Record<string, { readonly content?: unknown }>;
}

test('every route is described: role, parameters, body as it is checked, proof', () => {
  const { openapi, servers, paths } = openApi(ROUTES, '/ops') as {
    openapi: string;
    servers: unknown;
    paths: Record<string, Record<string, Operation>>;
  };
  expect([openapi, servers]).toEqual(['3.1.0', [{ url: '/ops/api/v1' }]]);
  const operations = Object.values(paths).flatMap((one) => Object.values(one));
  expect(operations.map(({ operationId }) => operationId)).toEqual([
    'get_openapi_json',
    'get_agents_id',
    'delete_agents_id',
    'post_agents',
    'put_text',
    'get_events',
  ]);
  expect(paths['/openapi.json']!['get']!.security).toEqual([]);
  expect(paths['/agents/{id}']!['get']).toMatchObject({
    'x-role': 'read',
    parameters: [
      { name: 'id', in: 'path', required: true },
      { name: 'sort', in: 'query', description: 'by what' },
    ],
  });
  const { schema } = paths['/agents']!['post']!.requestBody.content['application/json']!;
  expect(schema).toMatchObject({
    additionalProperties: false,
    properties: { labels: { additionalProperties: { type: 'string' } }, in: { additionalProperties: false } },
  });
  expect(paths['/text']!['put']!.requestBody.content).toHaveProperty(['application/toml']);
  expect(paths['/events']!['get']!.responses['2XX']!.content).toHaveProperty(['text/event-stream']);
});
