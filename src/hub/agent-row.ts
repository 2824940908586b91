import type { Clock } from '../std/clock.ts';
import type { AgentsAsked } from '../admin/agents-routes.ts';
import type { AgentInfo } from '../admin/model.ts';
import type { AgentIdentity } from '../tunnel/session.ts';
import { isOver } from '../tunnel/token.ts';
import type { AgentMember } from '../upstream/agent-member.ts';
import type { PastAgent } from './agent-book.ts';
import type { AgentDesk } from './agent-desk.ts';
import type { AgentRecord, IssuedRecord } from './kept-agents.ts';

/** Everybody by id, or only who has the id `only`: who is here, who was, of whom something is said, and whose token was issued here and not used yet. */
export function byIdOf(desk: Pick<AgentDesk, 'pool' | 'book' | 'kept'>, only: string | null, wallMs: number): Map<string, AgentRow> {
  const rows = new Map<string, AgentRow>();
  const { notes, issued } = desk.kept;
  const rowOf = (id: string): AgentRow => {
    let row = rows.get(id);
    if (row === undefined) rows.set(id, (row = new AgentRow(id, desk.book.past.get(id) ?? null, notes.all.get(id) ?? null)));
    return row;
  };
  // Which tokens somebody has come with matters only where some were issued.
  const used = issued.all.size === 0 ? null : new Set<string>();
  for (const member of desk.pool.members) {
    used?.add(member.session.agent.tokenId);
    if (only === null || member.agentId === only) rowOf(member.agentId).members.push(member);
  }
  for (const [id, { agent }] of desk.book.past) {
    used?.add(agent.tokenId);
    if (only === null || id === only) rowOf(id);
  }
  for (const id of notes.all.keys()) if (only === null || id === only) rowOf(id);
  for (const [id, record] of issued.all)
    if ((only === null || id === only) && used?.has(id) !== true && !rows.has(id) && !isOver(record.expiresMs, wallMs)) rowOf(id).issued = record;
  return rows;
}

/** An agent: all sessions with one id together, and what is known beside. */
export class AgentRow {
  readonly id: string;
  readonly members: AgentMember[] = [];
  /** It is a token that nobody has come with. */
  issued: IssuedRecord | null = null;
  readonly #past: PastAgent | null;
  readonly #record: AgentRecord | null;

  constructor(id: string, past: PastAgent | null, record: AgentRecord | null) {
    this.id = id;
    this.#past = past;
    this.#record = record;
  }

  get isOnlyToken(): boolean {
    return this.issued !== null;
  }

  get state(): AgentInfo['state'] {
    if (this.members.length === 0) return 'away';
    return this.members[0]!.isDrained ? 'draining' : 'serving';
  }

  /** As it said itself, the last time; null = it has never been here since the start. */
  get agent(): AgentIdentity | null {
    return this.members.at(-1)?.session.agent ?? this.#past?.agent ?? null;
  }

  get name(): string {
    const given = this.#record?.name ?? '';
    return given !== '' ? given : (this.agent?.name ?? this.issued?.name ?? '');
  }

  get #labels(): ReadonlyMap<string, string> {
    const here = this.members.at(-1);
    if (here !== undefined) return here.labels;
    return new Map([...(this.agent?.labels ?? this.issued?.labels ?? []), ...(this.#record?.labels ?? [])]);
  }

  get #scopes(): readonly string[] {
    return this.agent?.scopes ?? this.issued?.scopes ?? [];
  }

  /** `wanted`: in lower case. */
  contains(wanted: string): boolean {
    const has = (text: string): boolean => text.toLowerCase().includes(wanted);
    if (has(this.id) || has(this.name) || has(this.#record?.remark ?? '')) return true;
    for (const { session } of this.members) if (has(session.agent.address) || has(session.agent.name) || has(session.agent.tokenId)) return true;
    if (this.members.length === 0 && has(this.#past?.agent.tokenId ?? '')) return true;
    for (const scope of this.#scopes) if (has(scope)) return true;
    for (const [label, value] of this.#labels) if (has(`${label}=${value}`)) return true;
    return false;
  }

  keyOf(by: AgentsAsked['by']): string | number {
    switch (by) {
      case 'name':
        return this.name.toLowerCase();
      case 'id':
        return this.id;
      case 'state':
        return this.state;
      case 'slots':
        return this.#sum(({ session }) => session.slots);
      case 'free':
        return this.#sum(({ free }) => free);
      case 'inFlight':
        return this.#sum(({ session }) => session.inFlight);
      case 'served':
        return this.#sum(({ served }) => served) + (this.#past?.served ?? 0);
      case 'failed':
        return this.#sum(({ failed }) => failed) + (this.#past?.failed ?? 0);
      case 'joined':
        return this.members.length === 0 ? 0 : Math.min(...this.members.map(({ session }) => session.sinceMs));
    }
  }

  #sum(of: (member: AgentMember) => number): number {
    let sum = 0;
    for (const member of this.members) sum += of(member);
    return sum;
  }

  info(clock: Clock): AgentInfo {
    const agent = this.agent;
    const record = this.#record;
    const past = this.#past;
    const wire = this.members.at(-1)?.session.wireName ?? past?.wireName ?? 'native';
    const shown = clock.wall() - clock.now();
    const sessions = this.members.map(({ session, free }) => ({
      address: session.agent.address,
      slots: session.slots,
      free: Math.max(0, free),
      inFlight: session.inFlight,
      joinedAtMs: Math.round(shown + session.sinceMs),
      rttMs: session.roundTripMs === 0 ? null : session.roundTripMs,
      bytesIn: session.bytesReceived ?? 0,
      bytesOut: session.bytesSent ?? 0,
    }));
    const tokens = new Set(this.members.map(({ session }) => session.agent.tokenId));
    if (this.members.length === 0) tokens.add(this.issued === null ? (past?.agent.tokenId ?? '') : this.id);
    tokens.delete('');
    return {
      id: this.id,
      name: this.name,
      state: this.state,
      wire: wire === 'slime' || wire === 'cranker' ? wire : 'native',
      slots: this.keyOf('slots') as number,
      free: sessions.reduce((sum, { free }) => sum + free, 0),
      inFlight: this.keyOf('inFlight') as number,
      served: this.keyOf('served') as number,
      failed: this.keyOf('failed') as number,
      scopes: this.#scopes,
      labels: Object.fromEntries(this.#labels),
      version: agent?.software ?? '',
      joinedAtMs: sessions.length === 0 ? 0 : Math.min(...sessions.map(({ joinedAtMs }) => joinedAtMs)),
      expiresAtMs: agent?.expiresMs ?? this.issued?.expiresMs ?? 0,
      certificate: agent?.certificate === undefined ? null : { subject: agent.certificate.subject, fingerprint: agent.certificate.fingerprint },
      hardware: agent?.hardware === undefined || agent.hardware === null ? null : { ...agent.hardware },
      sessions,
      remark: record?.remark ?? '',
      given: { name: record?.name ?? '', labels: Object.fromEntries(record?.labels ?? []) },
      drained: record?.isDrained === true,
      tokens: [...tokens],
      leftAtMs: this.members.length === 0 ? Math.round(past?.leftMs ?? 0) : 0,
    };
  }
}
