import { VERSION } from '../observe/version.ts';
import type { JsonSchema } from '../schema/kind.ts';
import type { AdminRoute } from './route.ts';

/** The API as an OpenAPI 3.1 document, made of its routes. `base`: where the console stands. */
export function openApi(routes: readonly AdminRoute[], base: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Windlass admin API',
      version: VERSION,
      description:
        'What the console does, for scripts: with Authorization: Bearer and a token. Times are ms, sizes bytes. Errors are problem+json (RFC 9457).',
    },
    servers: [{ url: `${base}/api/v1` }],
    security: [{ token: [] }, { session: [], csrf: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: 'windlass_session' },
        csrf: { type: 'apiKey', in: 'header', name: 'Windlass-CSRF', description: 'with a session, for everything but GET' },
      },
      responses: { problem: { description: 'Why not', content: { 'application/problem+json': { schema: PROBLEM } } } },
    },
  };
}

const PROBLEM: JsonSchema = {
  type: 'object',
  required: ['status', 'code', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string' },
    detail: { type: 'string' },
    problems: { type: 'array', items: { type: 'object', properties: { at: { type: 'string' }, message: { type: 'string' } } } },
  },
};

function operationOf(route: AdminRoute): object {
  const { method, path, role, summary, query = {}, body } = route;
  const parts = path.split('/').filter((part) => part !== '');
  const parameters = [
    ...parts
      .filter((part) => part.startsWith('{'))
      .map((part) => ({ name: part.slice(1, -1), in: 'path', required: true, schema: { type: 'string' } })),
    ...Object.entries(query).map(([name, description]) => ({ name, in: 'query', description, schema: { type: 'string' } })),
  ];
  const isStream = parts.at(-1) === 'events';
  return {
    operationId: [method.toLowerCase(), ...parts.map((part) => part.replace(/[{}]/g, '').replaceAll(/[^A-Za-z0-9]+/g, '_'))].join('_'),
    tags: [parts[0] ?? ''],
    summary,
    'x-role': role,
    ...(role === 'anybody' ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body) } }),
    responses: {
      '2XX': { description: 'Done', ...(isStream ? { content: { 'text/event-stream': {} } } : {}) },
      default: { $ref: '#/components/responses/problem' },
    },
  };
}

function contentOf(body: JsonSchema | 'text'): object {
  return body === 'text' ? { 'application/toml': { schema: { type: 'string' } } } : { 'application/json': { schema: closed(body) } };
}

/** As it is checked: objects take no members that are not named. */
function closed(schema: JsonSchema): JsonSchema {
  const made: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'properties')
      made[keyword] = Object.fromEntries(Object.entries(value as object).map(([name, of]) => [name, closed(of as JsonSchema)]));
    else if (['items', 'additionalProperties', 'propertyNames'].includes(keyword) && typeof value === 'object' && value !== null)
      made[keyword] = closed(value as JsonSchema);
    else if (keyword === 'oneOf' || keyword === 'anyOf') made[keyword] = (value as readonly JsonSchema[]).map(closed);
    else made[keyword] = value;
  }
  if ('properties' in schema && !('additionalProperties' in schema)) made['additionalProperties'] = false;
  return made;
}
