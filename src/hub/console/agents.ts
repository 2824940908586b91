import { randomBytes } from 'node:crypto';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../observe/log.ts';
import type { AgentsAsked, AgentsBackend } from '../../admin/agents-routes.ts';
import type { AgentInfo, AgentNote, Page, RegisterAgent, RegisteredAgent, RevokedAgent } from '../../admin/model.ts';
import type { Paging } from '../../admin/paging.ts';
import { Problem } from '../../admin/route.ts';
import type { AgentIdentity } from '../../tunnel/session.ts';
import { createKeyring, isOver, sealToken } from '../../tunnel/token.ts';
import type { AgentDesk } from '../agent-desk.ts';
import { type AgentRow, byIdOf } from '../agent-row.ts';
import type { AgentRecord } from '../kept-agents.ts';
import { GIVEN_LABELS } from '../limits.ts';
import { written } from '../written.ts';
import { pageOf } from './page-of.ts';

/** What of a desk is shown and changed. */
export type ShownDesk = Pick<AgentDesk, 'pool' | 'book' | 'kept' | 'rules' | 'revokedInFile'>;

export interface ConsoleAgentsOptions {
  /** Null: no agent may dial in. */
  readonly desk: () => ShownDesk | null;
  /** Where agents dial in, as they would write it; null = nowhere. */
  readonly hubUrl: () => string | null;
  readonly clock: Clock;
  readonly log: Log;
  /** Told when something of them has changed. */
  changed(): void;
}

/** Agents, for the console: who is here, was here or may come, and what operators say of them. */
export class ConsoleAgents implements AgentsBackend {
  readonly #options: ConsoleAgentsOptions;

  constructor(options: ConsoleAgentsOptions) {
    this.#options = options;
  }

  async list(asked: AgentsAsked): Promise<Page<AgentInfo>> {
    const { query, state, by, descending, offset, limit } = asked;
    const wanted = query.toLowerCase();
    const found: Found[] = [];
    for (const row of this.#rows().values())
      if ((state === null || row.state === state) && (wanted === '' || row.contains(wanted))) found.push({ row, key: row.keyOf(by) });
    // Numbers as numbers, texts by their letters; those that are alike by id, so that pages fit together.
    const sign = descending ? -1 : 1;
    const compare = (a: Found, b: Found): number => {
      if (a.key !== b.key) return a.key < b.key ? -sign : sign;
      return a.row.id < b.row.id ? -1 : a.row.id > b.row.id ? 1 : 0;
    };
    const { clock } = this.#options;
    return { total: found.length, items: pageOf(found, compare, offset, limit).map(({ row }) => row.info(clock)) };
  }

  async agent(id: string): Promise<AgentInfo | null> {
    return this.#rows(id).get(id)?.info(this.#options.clock) ?? null;
  }

  async register({ name, scopes = [], scopePaths = [], labels = {}, ttlMs = 0 }: RegisterAgent): Promise<RegisteredAgent> {
    const desk = this.#desk();
    const { secrets } = desk.rules;
    if (secrets.length === 0) throw new Problem(409, 'no_secret', 'No token of ours is taken here: there is no secret that could seal one.');
    const { clock, log, hubUrl } = this.#options;
    const now = clock.wall();
    const id = randomBytes(10).toString('hex');
    const claims = { id, name, scopes, scopePaths, issuedMs: now, expiresMs: ttlMs === 0 ? 0 : now + ttlMs, labels: new Map(Object.entries(labels)) };
    const token = seal(() => sealToken(claims, createKeyring(secrets)));
    await written(
      desk.kept.issued.change((records) => {
        for (const [old, { expiresMs }] of records) if (isOver(expiresMs, now)) records.delete(old);
        records.set(id, { name, scopes, labels: claims.labels, atMs: now, expiresMs: claims.expiresMs });
      }),
      'No token was issued',
    );
    log.info({ token: id, name }, 'an agent token was issued');
    this.#options.changed();
    return { id, token, command: `WINDLASS_TOKEN=${token} windlass agent run --hub ${hubUrl() ?? 'HUB'} --upstream localhost:3000` };
  }

  async revoke(id: string, reason: string, by: string): Promise<readonly RevokedAgent[]> {
    const desk = this.#desk();
    const atMs = this.#options.clock.wall();
    const tokens = this.#tokensOf(id, desk);
    if (tokens.size === 0)
      throw new Problem(409, 'no_token', 'This agent has shown no token, so none can be revoked: it needed none (cranker_auth).');
    const records = new Map([...tokens].map(([token, name]) => [token, { name, atMs, by, reason }]));
    this.#options.log.warn({ agent: id, tokens: [...tokens.keys()], by }, 'an operator has revoked an agent');
    await written(desk.kept.revoke(records), 'The agent is cut off for as long as this process lives');
    desk.book.forget(id);
    this.#options.changed();
    return [...records].map(([token, { name }]) => ({ id: token, name, atMs, by, reason, fixed: false }));
  }

  /** Of an agent, all that it has come with; and the one that has this id itself, so that no agent can stand in its way by taking its name. */
  #tokensOf(id: string, desk: ShownDesk): Map<string, string> {
    const tokens = new Map<string, string>();
    let isKnown = false;
    const take = (agent: { readonly id: string; readonly tokenId: string; readonly name: string }): void => {
      if (agent.id !== id && agent.tokenId !== id) return;
      isKnown = true;
      if (agent.tokenId !== '') tokens.set(agent.tokenId, agent.name);
    };
    for (const { agent } of desk.pool.sessions) take(agent);
    for (const { agent } of desk.book.past.values()) take(agent);
    const issued = desk.kept.issued.all.get(id);
    if (issued !== undefined) tokens.set(id, issued.name);
    else if (!isKnown && !desk.kept.notes.all.has(id)) tokens.set(checkedId(id), '');
    return tokens;
  }

  async revoked({ offset, limit }: Paging): Promise<Page<RevokedAgent>> {
    const desk = this.#options.desk();
    if (desk === null) return { total: 0, items: [] };
    const all: RevokedAgent[] = [...desk.kept.revocations].map(([id, { name, atMs, by, reason }]) => ({ id, name, atMs, by, reason, fixed: false }));
    all.sort((a, b) => b.atMs - a.atMs);
    for (const id of desk.revokedInFile) all.push({ id, name: '', atMs: 0, by: '', reason: '', fixed: true });
    return { total: all.length, items: all.slice(offset, offset + limit) };
  }

  async pardon(id: string): Promise<void> {
    const desk = this.#desk();
    if (!desk.kept.revocations.has(id)) {
      if (desk.revokedInFile.has(id)) throw new Problem(409, 'fixed', 'This token is revoked in the configuration: take it out there.');
      throw new Problem(404, 'not_revoked', 'No token with this id was revoked here.');
    }
    await written(desk.kept.pardon(id), 'The token stays revoked');
    this.#options.log.info({ token: id }, 'an agent token that was revoked counts again');
    this.#options.changed();
  }

  async drain(id: string, is: boolean): Promise<AgentInfo> {
    const info = await this.#say(id, (record) => ({ ...record, isDrained: is }));
    this.#options.log.info({ agent: id }, is ? 'an operator has drained an agent: it gets no new work' : 'an agent gets work again');
    return info;
  }

  async note(id: string, { name, remark, labels }: AgentNote): Promise<AgentInfo> {
    if (labels !== undefined && Object.keys(labels).length > GIVEN_LABELS)
      throw new Problem(422, 'too_many_labels', `At most ${GIVEN_LABELS} labels can be given.`);
    // What is as its own is not given: else it could never be anything else again.
    return this.#say(id, (record, own) => ({
      ...record,
      ...(name === undefined ? {} : { name: name.trim() === own?.name ? '' : name.trim() }),
      ...(remark === undefined ? {} : { remark: remark.trim() }),
      ...(labels === undefined ? {} : { labels: new Map(Object.entries(labels).filter(([label, value]) => own?.labels.get(label) !== value)) }),
    }));
  }

  async #say(id: string, edit: (record: AgentRecord, own: AgentIdentity | null) => AgentRecord): Promise<AgentInfo> {
    const desk = this.#desk();
    const row = this.#rows(id).get(id);
    if (row === undefined) throw new Problem(404, 'no_such_agent', 'There is no agent with this id.');
    if (row.isOnlyToken) throw new Problem(409, 'not_come_yet', 'No agent has come with this token yet: it will have another id.');
    await written(
      desk.kept.notes.change((records) => {
        const record = edit(records.get(id) ?? NOTHING, row.agent);
        if (record.name === '' && record.remark === '' && record.labels.size === 0 && !record.isDrained) records.delete(id);
        else records.set(id, record);
      }),
      'Nothing was changed',
    );
    this.#options.changed();
    return (await this.agent(id)) ?? row.info(this.#options.clock);
  }

  /** @throws Problem */
  #desk(): ShownDesk {
    const desk = this.#options.desk();
    if (desk === null) throw new Problem(409, 'no_agents', 'No agent may dial in here: the configuration has no section [agents].');
    return desk;
  }

  /** Everybody, or only who has this id. Nothing of it is worked out before somebody asks the row. */
  #rows(only: string | null = null): Map<string, AgentRow> {
    const desk = this.#options.desk();
    return desk === null ? new Map() : byIdOf(desk, only, this.#options.clock.wall());
  }
}

/** An agent, and what it is sorted by. */
interface Found {
  readonly row: AgentRow;
  readonly key: string | number;
}

const NOTHING: AgentRecord = { name: '', remark: '', labels: new Map(), isDrained: false };

/** Somebody may know of a token that is nowhere written here. @throws Problem */
function checkedId(id: string): string {
  if (/^[\w.:-]{1,64}$/.test(id)) return id;
  throw new Problem(404, 'no_such_agent', 'There is no agent with this id, and it is no id of a token.');
}

function seal(make: () => string): string {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw new Problem(422, 'invalid', `The token ${error.message}.`);
    throw error;
  }
}
