import type { JsonSchema } from '../schema/kind.ts';
import { CHANGES } from './config-routes.ts';
import type { LogTemplatePreview, RewritePreview, RouteQuestion, RouteTest } from './model.ts';
import { type AdminRoute, Problem } from './route.ts';

/** What would become of a request. */
export interface RoutingBackend {
  /** @throws Problem when no such request could come in, or there is no such server */
  test(question: RouteQuestion): Promise<readonly RouteTest[]>;
  rewrite(rewrite: string, path: string): RewritePreview;
  logTemplate(template: string): LogTemplatePreview;
}

/** Questions that are answered without sending anything. */
export function routingRoutes(backend: RoutingBackend): readonly AdminRoute[] {
  return [
    {
      method: 'POST',
      path: '/routing/test',
      role: 'read',
      summary: 'Which location would take this request, and why not the others? Nothing is sent.',
      body: {
        type: 'object',
        required: ['host', 'path'],
        properties: {
          server: TEXT,
          method: { type: 'string', minLength: 1, maxLength: 100 },
          host: TEXT,
          path: { type: 'string', minLength: 1, maxLength: 16_384 },
          headers: { type: 'array', maxItems: 100, items: { type: 'array', minItems: 2, maxItems: 2, items: { type: 'string', maxLength: 16_384 } } },
          changes: CHANGES,
        },
      },
      handle: async ({ body, asker }) => {
        const question = body as RouteQuestion;
        // As with /config/check.
        if ((question.changes ?? []).length > 0 && asker?.role !== 'admin')
          throw new Problem(403, 'forbidden', 'Only admins may ask a configuration that does not serve yet.');
        return { json: { tests: await backend.test(question) } };
      },
    },
    {
      method: 'POST',
      path: '/routing/rewrite',
      role: 'read',
      summary: 'What a rewrite makes of a path.',
      body: {
        type: 'object',
        required: ['rewrite', 'path'],
        properties: { rewrite: { type: 'string', maxLength: 16_384 }, path: { type: 'string', maxLength: 16_384 } },
      },
      handle: ({ body }) => {
        const { rewrite, path } = body as { rewrite: string; path: string };
        return { json: backend.rewrite(rewrite, path) };
      },
    },
    {
      method: 'POST',
      path: '/routing/log-template',
      role: 'read',
      summary: 'A line that a template of an access log writes, of an example request.',
      body: { type: 'object', required: ['template'], properties: { template: { type: 'string', maxLength: 16_384 } } },
      handle: ({ body }) => ({ json: backend.logTemplate((body as { template: string }).template) }),
    },
  ];
}

const TEXT: JsonSchema = { type: 'string', maxLength: 1000 };
