import type { AgentInfo, AgentNote, Page, RegisterAgent, RegisteredAgent, RevokedAgent } from './model.ts';
import { pagingQuery, type Paging, readPaging, readSort } from './paging.ts';
import { type AdminAnswer, type AdminRequest, type AdminRoute, Problem } from './route.ts';

/** What lists of agents are sorted by. */
export const AGENT_SORTS = ['name', 'id', 'state', 'slots', 'free', 'inFlight', 'served', 'failed', 'joined'] as const;

/** Which agents are wanted, and in which order. */
export interface AgentsAsked extends Paging {
  /** Is part of an id, a name, a label, a scope, an address, the id of a token or a remark, in whatever case; '' = all. */
  readonly query: string;
  readonly state: AgentInfo['state'] | null;
  readonly by: (typeof AGENT_SORTS)[number];
  readonly descending: boolean;
}

/** Agents, and who may be one. An agent is named by its id; one that has never come, by that of its token. */
export interface AgentsBackend {
  list(asked: AgentsAsked): Promise<Page<AgentInfo>>;
  /** Null: there is none. */
  agent(id: string): Promise<AgentInfo | null>;
  /** Makes a token, which is shown this once. @throws Problem */
  register(order: RegisterAgent): Promise<RegisteredAgent>;
  /** Its tokens count no more, its sessions are cut at once. @throws Problem */
  revoke(id: string, reason: string, by: string): Promise<readonly RevokedAgent[]>;
  revoked(paging: Paging): Promise<Page<RevokedAgent>>;
  /** The token counts again. @throws Problem */
  pardon(id: string): Promise<void>;
  /** It gets no new work while it stays, or gets some again. @throws Problem */
  drain(id: string, is: boolean): Promise<AgentInfo>;
  /** @throws Problem */
  note(id: string, note: AgentNote): Promise<AgentInfo>;
}

/** Agents: who is here, who may come, who gets work. */
export function agentsRoutes(backend: AgentsBackend): readonly AdminRoute[] {
  const found = (agent: AgentInfo | null): AdminAnswer => {
    if (agent === null) throw new Problem(404, 'no_such_agent', 'There is no agent with this id.');
    return { json: agent };
  };
  return [
    {
      method: 'GET',
      path: '/agents',
      role: 'read',
      summary: 'Agents that are here, have been here, or have got a token.',
      query: {
        query: 'Part of an id, a name, a label (key=value), a scope, an address, the id of a token or a remark.',
        state: 'serving, draining or away; absent = any.',
        sort: `${AGENT_SORTS.join(', ')}; with a dash in front for the other way round.`,
        ...pagingQuery,
      },
      handle: async ({ query }) => ({ json: await backend.list(readAsked(query)) }),
    },
    {
      method: 'GET',
      path: '/agents/{id}',
      role: 'read',
      summary: 'One agent with its sessions.',
      handle: async (request) => found(await backend.agent(idOf(request))),
    },
    {
      method: 'POST',
      path: '/agents',
      role: 'admin',
      summary: 'Makes a token for an agent. The token is in this answer and nowhere else.',
      body: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string', pattern: '^[^\\p{C}]{1,100}$' },
          scopes: { type: 'array', maxItems: 100, items: { type: 'string', pattern: '^[^\\p{C}\\s,]{1,100}$' } },
          scopePaths: { type: 'array', maxItems: 100, items: { type: 'string', pattern: '^/[\\x21-\\x22\\x24-\\x3e\\x40-\\x7e]{0,499}$' } },
          labels: labelsForm('^[a-zA-Z][\\w./-]{0,62}$'),
          ttlMs: { type: 'integer', minimum: 0, maximum: 100 * 365.25 * 86_400_000 },
        },
      },
      audit: ({ body }) => `name ${(body as RegisterAgent).name}`,
      handle: async ({ body }) => ({
        status: 201,
        json: await backend.register(body as RegisterAgent),
      }),
    },
    {
      method: 'POST',
      path: '/agents/{id}/revoke',
      role: 'admin',
      summary: 'Revokes the tokens of an agent, or one by its id: its sessions are cut at once, and it is turned away from now on.',
      body: { type: 'object', required: ['reason'], properties: { reason: { type: 'string', pattern: '^[^\\p{C}]{0,200}$' } } },
      audit: ({ body }) => (body as { reason: string }).reason,
      handle: async (request) => ({
        json: await backend.revoke(idOf(request), (request.body as { reason: string }).reason, request.asker!.name),
      }),
    },
    {
      method: 'GET',
      path: '/revoked',
      role: 'read',
      summary: 'Tokens that count no more, the latest first; those of the configuration are at the end.',
      query: pagingQuery,
      handle: async ({ query }) => ({ json: await backend.revoked(readPaging(query, LISTED, LISTED)) }),
    },
    {
      method: 'DELETE',
      path: '/revoked/{id}',
      role: 'admin',
      summary: 'Lets a token count again that was revoked here.',
      handle: async (request) => {
        await backend.pardon(idOf(request));
        return { status: 204, json: null };
      },
    },
    {
      method: 'POST',
      path: '/agents/{id}/drain',
      role: 'operate',
      summary: 'Gives an agent no new work, though it stays connected; also when it comes anew.',
      handle: async (request) => ({ json: await backend.drain(idOf(request), true) }),
    },
    {
      method: 'POST',
      path: '/agents/{id}/resume',
      role: 'operate',
      summary: 'Gives a drained agent work again.',
      handle: async (request) => ({ json: await backend.drain(idOf(request), false) }),
    },
    {
      method: 'PATCH',
      path: '/agents/{id}',
      role: 'operate',
      summary: 'Gives an agent a name and a remark for people, and labels that upstreams select it by at once, in the place of its own.',
      body: {
        type: 'object',
        properties: {
          name: { type: 'string', pattern: '^[^\\p{C}]{0,128}$' },
          remark: { type: 'string', pattern: '^[^\\p{C}]{0,1000}$' },
          labels: labelsForm('^[A-Za-z0-9._/-]{1,64}$'),
        },
      },
      audit: ({ body }) => Object.keys(body as AgentNote).join(' '),
      handle: async (request) => ({ json: await backend.note(idOf(request), request.body as AgentNote) }),
    },
  ];
}

/** Agents in one answer. */
const LISTED = 1_000;

function idOf({ parameters }: AdminRequest): string {
  return parameters['id'] ?? '';
}

/** @throws Problem */
function readAsked(query: URLSearchParams): AgentsAsked {
  const state = query.get('state') ?? '';
  if (state !== '' && state !== 'serving' && state !== 'draining' && state !== 'away')
    throw new Problem(400, 'bad_query', 'state is serving, draining or away.');
  return {
    ...readPaging(query, 50, LISTED),
    ...readSort(query, AGENT_SORTS, 'name'),
    query: query.get('query')?.trim() ?? '',
    state: state === '' ? null : state,
  };
}

function labelsForm(name: string): Record<string, unknown> {
  return { type: 'object', propertyNames: { pattern: name }, additionalProperties: { type: 'string', pattern: '^[^\\p{C}]{0,200}$' } };
}
