import { StoreError } from '../store/records.ts';
import type { Page, TokenInfo } from './model.ts';
import { type AdminRoute, Problem, type Role, ROLES } from './route.ts';

/** Tokens for scripts, as they are kept. */
export interface TokenBackend {
  list(): readonly TokenInfo[];
  issue(name: string, role: Role, ttlMs: number): Promise<TokenInfo & { readonly token: string }>;
  revoke(id: string): Promise<boolean>;
}

/** Ten years, ms. */
const TTL_MAX_MS = 10 * 365 * 24 * 60 * 60_000;

/** Making, listing and revoking tokens for scripts. */
export function tokenRoutes(tokens: TokenBackend): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/tokens',
      role: 'admin',
      summary: 'Lists the tokens for scripts, without what they are.',
      handle: () => {
        const items = tokens.list();
        const page: Page<TokenInfo> = { total: items.length, items };
        return { json: page };
      },
    },
    {
      method: 'POST',
      path: '/tokens',
      role: 'admin',
      summary: 'Makes a token for a script; it is told this once.',
      body: {
        type: 'object',
        required: ['name', 'role'],
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 128, pattern: '^[^\\p{Cc}]+$' },
          role: { enum: [...ROLES] },
          ttlMs: { type: 'integer', minimum: 0, maximum: TTL_MAX_MS, description: '0 or absent: it never expires' },
        },
      },
      audit: ({ body }) => {
        const { name, role } = body as Wanted;
        return `${name} as ${role}`;
      },
      handle: async ({ body }) => {
        const { name, role, ttlMs = 0 } = body as Wanted;
        return { status: 201, json: await saved(() => tokens.issue(name, role, ttlMs)) };
      },
    },
    {
      method: 'DELETE',
      path: '/tokens/{id}',
      role: 'admin',
      summary: 'Revokes a token: it lets nobody in from now on.',
      handle: async ({ parameters }) => {
        if (!(await saved(() => tokens.revoke(parameters['id']!)))) throw new Problem(404, 'not_found', 'There is no such token.');
        return { status: 204, json: null };
      },
    },
  ];
}

interface Wanted {
  readonly name: string;
  readonly role: Role;
  readonly ttlMs?: number;
}

/** @throws Problem where the file cannot be written; then nothing has changed */
async function saved<T>(change: () => Promise<T>): Promise<T> {
  try {
    return await change();
  } catch (error) {
    if (error instanceof StoreError) throw new Problem(507, 'not_saved', `Nothing has changed: ${error.message}.`);
    throw error;
  }
}
