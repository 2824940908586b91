import type { JsonSchema } from '../schema/kind.ts';
import type {
  ApplyConfig,
  ConfigChange,
  ConfigInfo,
  ConfigVerdict,
  ConfigVersion,
  ConfigVersionDetail,
  FormSection,
  ImportConfig,
  ImportVerdict,
  Page,
} from './model.ts';
import { type AdminAnswer, type AdminRequest, type AdminRoute, Problem } from './route.ts';

/** The configuration of a gateway: its files, what serves of them, and what was there before. */
export interface ConfigBackend {
  info(): Promise<ConfigInfo>;
  /** Null: there is no such file. `clear`: with its secrets. */
  file(name: string, clear: boolean): Promise<string | null>;
  schema(): readonly FormSection[];
  jsonSchema(): JsonSchema;
  /** Nothing is written. @throws Problem */
  check(changes: readonly ConfigChange[]): Promise<ConfigVerdict>;
  /** Answers when the new configuration serves. `ifMatch`: the etag that the changes were made to. @throws Problem, and then the files are as they were */
  apply(order: ApplyConfig, ifMatch: string | null, by: string): Promise<ConfigVerdict>;
  /** Reads the files anew. */
  reload(): Promise<ConfigVerdict>;
  /** Newest first. */
  history(): Promise<Page<ConfigVersion>>;
  /** Null: there is no such version. */
  version(id: string, clear: boolean): Promise<ConfigVersionDetail | null>;
  /** @throws Problem */
  restore(id: string, by: string): Promise<ConfigVerdict>;
  /** Back to the last version that served: the one that serves now when the files cannot be used, else the one before it. @throws Problem */
  rollBack(by: string): Promise<ConfigVerdict>;
  /** All of it as one text, secrets hidden. */
  export(): Promise<string>;
  /** @throws Problem */
  import(order: ImportConfig, ifMatch: string | null, by: string): Promise<ImportVerdict>;
}

/** The configuration: looked at, checked, changed, taken back. */
export function configRoutes(backend: ConfigBackend): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/config',
      role: 'read',
      summary: 'The configuration by items as its files have it, secrets hidden; what is wrong with it, and whether it serves.',
      handle: async () => {
        const info = await backend.info();
        return { json: info, etag: info.etag };
      },
    },
    {
      method: 'GET',
      path: '/config/files/{name}',
      role: 'read',
      summary: 'The text of one file. Secrets are hidden for all but admins.',
      handle: async (request) => {
        const text = await backend.file(request.parameters['name']!, isAdmin(request));
        return { text: text ?? notFound('There is no such file.'), type: TOML };
      },
    },
    {
      method: 'GET',
      path: '/config/schema',
      role: 'read',
      summary: 'What forms are made of: every key of every section and plugin.',
      handle: () => ({ json: { sections: backend.schema() } }),
    },
    {
      method: 'GET',
      path: '/config/json-schema',
      role: 'read',
      summary: 'JSON Schema (draft 7) of a configuration file, for editors.',
      handle: () => ({ json: backend.jsonSchema() }),
    },
    {
      method: 'POST',
      path: '/config/check',
      // What is tried may name any file and variable of the machine, and modules that are loaded: that is not for who may only look.
      role: 'admin',
      summary: 'What would be wrong with the configuration after these changes, and what they change. Nothing is written.',
      body: { type: 'object', required: ['changes'], properties: { changes: CHANGES } },
      handle: async ({ body }) => ({ json: await backend.check((body as ApplyConfig).changes) }),
    },
    {
      method: 'POST',
      path: '/config/apply',
      role: 'admin',
      summary: 'Saves changes and puts them to use: all of them or none. If-Match is the etag that they were made to.',
      body: { type: 'object', required: ['changes'], properties: { changes: CHANGES, note: NOTE } },
      audit: ({ body }) => subjectsOf((body as ApplyConfig).changes),
      handle: async ({ body, ifMatch, asker }) => answerOf(await backend.apply(body as ApplyConfig, ifMatch, asker!.name)),
    },
    {
      method: 'POST',
      path: '/config/reload',
      role: 'operate',
      summary: 'Reads the files anew, as SIGHUP does.',
      handle: async () => answerOf(await backend.reload()),
    },
    {
      method: 'GET',
      path: '/config/history',
      role: 'read',
      summary: 'What the configuration was, newest first.',
      handle: async () => ({ json: await backend.history() }),
    },
    {
      method: 'GET',
      path: '/config/history/{id}',
      role: 'read',
      summary: 'One version: what it changed, what restoring it would change, its files.',
      handle: async (request) => ({
        json: (await backend.version(request.parameters['id']!, isAdmin(request))) ?? notFound('There is no such version.'),
      }),
    },
    {
      method: 'POST',
      path: '/config/history/{id}/restore',
      role: 'admin',
      summary: 'Makes an earlier version the configuration again.',
      handle: async ({ parameters, asker }) => answerOf(await backend.restore(parameters['id']!, asker!.name)),
    },
    {
      method: 'POST',
      path: '/config/rollback',
      role: 'admin',
      summary: 'Back to the last version that served.',
      handle: async ({ asker }) => answerOf(await backend.rollBack(asker!.name)),
    },
    {
      method: 'GET',
      path: '/config/export',
      role: 'admin',
      summary: 'The whole configuration as one text, secrets hidden: importing it leaves those as they are.',
      handle: async () => ({
        text: await backend.export(),
        type: TOML,
        fields: ['Content-Disposition', 'attachment; filename="windlass.toml"'],
      }),
    },
    {
      method: 'POST',
      path: '/config/import',
      role: 'admin',
      summary: 'Takes a configuration in, of Windlass or of another program. With dryRun nothing is written.',
      body: {
        type: 'object',
        required: ['text', 'format', 'dryRun'],
        properties: { text: { type: 'string', minLength: 1 }, format: { enum: ['toml', 'pingap', 'pi', 'slime'] }, dryRun: { type: 'boolean' } },
      },
      audit: ({ body }) => `${(body as ImportConfig).format}${(body as ImportConfig).dryRun ? ', dry run' : ''}`,
      handle: async ({ body, ifMatch, asker }) => answerOf(await backend.import(body as ImportConfig, ifMatch, asker!.name)),
    },
  ];
}

const TOML = 'text/toml; charset=utf-8';

const NOTE: JsonSchema = { type: 'string', maxLength: 500 };

/** One change, of a whole file or of an item. */
export const CHANGES: JsonSchema = {
  type: 'array',
  // Each is an edit of a text; whoever changes more than so many items sends the file.
  maxItems: 200,
  items: {
    anyOf: [
      {
        type: 'object',
        required: ['file', 'text'],
        properties: { file: { type: 'string', minLength: 1, maxLength: 1000 }, text: { type: ['string', 'null'] } },
      },
      {
        type: 'object',
        required: ['section', 'name', 'values'],
        properties: {
          section: { type: 'string', minLength: 1, maxLength: 100 },
          name: { type: 'string', maxLength: 128 },
          values: { type: ['object', 'null'] },
          rename: { type: 'string', minLength: 1, maxLength: 128 },
        },
      },
    ],
  },
};

/** What is changed, without any value. */
function subjectsOf(changes: readonly ConfigChange[]): string {
  const subjects = changes.map((change) => {
    if ('file' in change) return change.text === null ? `- ${change.file}` : change.file;
    const { section, name, values, rename } = change;
    return `${values === null ? '- ' : ''}${section}${name === '' ? '' : `.${name}`}${rename === undefined || rename === name ? '' : ` -> ${rename}`}`;
  });
  return subjects.slice(0, AUDITED_MAX).join(', ') + (subjects.length > AUDITED_MAX ? `, and ${subjects.length - AUDITED_MAX} more` : '');
}

const AUDITED_MAX = 20;

function answerOf(verdict: ConfigVerdict): AdminAnswer {
  return { json: verdict, etag: verdict.etag };
}

function isAdmin({ asker }: AdminRequest): boolean {
  return asker?.role === 'admin';
}

function notFound(detail: string): never {
  throw new Problem(404, 'not_found', detail);
}
