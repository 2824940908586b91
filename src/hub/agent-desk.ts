import { Failure } from '../http/failure.ts';
import type { TakeOver } from '../http/server-h1.ts';
import { tunnelLimits, type TunnelLimits } from '../tunnel/limits.ts';
import { acceptAgent, type AgentClaims } from '../tunnel/native/accept.ts';
import { asksForWebSocket } from '../tunnel/native/websocket.ts';
import { Revocations } from '../tunnel/revocations.ts';
import type { Session } from '../tunnel/session.ts';
import { SlimeDesk } from '../tunnel/slime/desk.ts';
import { AgentPool, type AgentPoolOptions } from '../upstream/agents.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { AgentBook } from './agent-book.ts';
import { AgentCounts } from './agent-counts.ts';
import { authenticator, secretNames } from './authenticator.ts';
import { BadTokens } from './bad-tokens.ts';
import { Expiry } from './expiry.ts';
import type { House } from './house.ts';
import { KeptAgents } from './kept-agents.ts';
import { cutRevoked, REVOKED } from './revoked.ts';

/** How long goodbyes may take when a hub leaves, ms. */
const FAREWELL_MS = 2_000;

/** Whom a hub lets in, and what it tells them. It may change while agents are there. */
export interface DeskRules {
  readonly hubId: string;
  /** Seal and open agent tokens: the first seals, all open. Empty: no token is good. */
  readonly secrets: readonly string[];
  /** Open tokens that a hub of slime has issued; absent or empty: none is good. */
  readonly slimeSecrets?: readonly string[];
  /** Other hubs that agents are told to dial as well: id and address. */
  readonly siblings: ReadonlyMap<string, UpstreamUrl>;
  /** Ids (or names) of tokens that count no more. */
  readonly revoked: readonly string[];
  /** Agents must have shown a certificate that the listener has checked. */
  readonly requireCertificate: boolean;
}

/** Where agents come in: it looks at their tokens, and keeps the pool of those that are here. */
export class AgentDesk {
  readonly pool: AgentPool;
  readonly takeOver: TakeOver;
  /** What operators say of agents. */
  readonly kept: KeptAgents;
  /** Who has been here. */
  readonly book = new AgentBook();
  readonly #house: House;
  readonly #expiry: Expiry;
  readonly #counts: AgentCounts;
  readonly #revocations: Revocations;
  readonly #badTokens: BadTokens;
  #rules: DeskRules;
  #authenticate: (token: string) => AgentClaims | Failure;
  #slime: SlimeDesk | null = null;

  constructor(
    house: House,
    rules: DeskRules,
    pool: Pick<AgentPoolOptions, 'queueSize' | 'starved' | 'knownForMs' | 'watch' | 'joined' | 'left'>,
    limits: Partial<TunnelLimits> | undefined,
    kept: KeptAgents = new KeptAgents(null, house.log),
  ) {
    const { loop, log } = house;
    this.kept = kept;
    this.#house = house;
    this.#expiry = new Expiry(loop);
    this.#rules = rules;
    this.#badTokens = new BadTokens(loop.clock);
    this.#revocations = new Revocations(rules.revoked);
    this.#revocations.keep({ has: (tokenId) => kept.isRevoked(tokenId) });
    this.#authenticate = authenticator(rules, this.#revocations, () => loop.clock.wall());
    this.pool = new AgentPool({
      ...pool,
      clock: loop.clock,
      joined: (session, twin) => {
        this.#joined(session, twin);
        pool.joined?.(session, twin);
      },
      orders: ({ id }) => kept.notes.all.get(id) ?? null,
      left: (session, reason, member) => {
        this.#left(session, reason);
        this.book.left(session, member, loop.clock.wall());
        pool.left?.(session, reason, member);
      },
    });
    this.takeOver = {
      token: 'windlass/1',
      wants: asksForWebSocket,
      accept: (head, wire, rest) =>
        acceptAgent(head, wire, rest, {
          loop,
          log,
          hubId: this.#rules.hubId,
          siblings: [...this.#rules.siblings].map(([id, hub]) => ({ id, address: hub.shown })),
          ...(limits === undefined ? {} : { limits: { ...tunnelLimits, ...limits } }),
          requiresCertificate: () => this.#rules.requireCertificate,
          authenticate: (token, address) => this.judge(token, address),
          joined: (session) => this.admit(session),
        }),
    };
    kept.revoked.changed = () => this.#cutRevoked();
    kept.notes.changed = (ids) => {
      for (const id of ids) this.pool.obey(id);
    };
    this.#counts = new AgentCounts(house.metrics, this.pool, loop.clock);
  }

  /** Goes by other rules from now on; agents that are here stay, but for those whose tokens count no more. */
  renew(rules: DeskRules): void {
    const { log, loop } = this.#house;
    this.#rules = rules;
    this.#revocations.replace(rules.revoked);
    this.#authenticate = authenticator(rules, this.#revocations, () => loop.clock.wall());
    this.#cutRevoked();
    if (!rules.requireCertificate) return;
    for (const session of this.pool.sessions) {
      if (session.agent.certificate !== undefined) continue;
      log.warn({ agent: session.agent.id, name: session.agent.name }, 'this agent has shown no certificate, and now must: its session is cut');
      session.close(new Failure('forbidden', 'agents must show a client certificate here from now on'));
    }
  }

  #cutRevoked(): void {
    cutRevoked(this.pool.sessions, this.#revocations, secretNames(this.#rules), this.#house.log);
  }

  /** Why who shows this is turned away all the same; null = he is not. */
  refusal(claims: Pick<AgentClaims, 'tokenId' | 'name'>): Failure | null {
    return this.#revocations.has(claims) ? new Failure('unauthorized', REVOKED) : null;
  }

  /** Ids and names of tokens that the configuration has revoked. */
  get revokedInFile(): ReadonlySet<string> {
    return this.#revocations.configured;
  }

  /** Some agent of slime is about to answer. */
  get isAnsweredBySlime(): boolean {
    return this.#slime?.isBusy === true;
  }

  /** May agents of slime come in anywhere? Those that are here may only bring their answers if not. */
  set takesSlime(takes: boolean) {
    if (takes || this.#slime !== null) this.slime.isOpen = takes;
  }

  /** Where agents of slime come in. */
  get slime(): SlimeDesk {
    if (this.#slime !== null) return this.#slime;
    const house = this.#house;
    const desk = new SlimeDesk({
      loop: house.loop,
      log: house.log,
      requiresCertificate: () => this.#rules.requireCertificate,
      authenticate: (token, address) => this.judge(token, address),
      joined: (session) => this.admit(session),
    });
    // Requests that are inside hold a place in front of the queue, or in it.
    house.finish = () => desk.finish(() => this.pool.waiting === 0);
    this.#slime = desk;
    return desk;
  }

  get rules(): DeskRules {
    return this.#rules;
  }

  /** A session that is ready for work, of whatever wire. Returns null when it is taken, else why not. */
  admit(session: Session): Failure | null {
    if (this.#house.draining) return new Failure('draining', 'the hub is stopping', 1);
    this.pool.join(session);
    return null;
  }

  /** What a token proves; who tries bad ones is put off after some. */
  judge(token: string, address: string): AgentClaims | Failure {
    const found = this.#authenticate(token);
    if (!(found instanceof Failure)) return found;
    const waitS = this.#badTokens.tried(address);
    return waitS === 0 ? found : new Failure('too_many_requests', 'too many bad agent tokens came from this address', waitS);
  }

  get hubId(): string {
    return this.#rules.hubId;
  }

  /** Bytes held for agents. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const session of this.pool.sessions) sum += session.bufferedBytes;
    return sum;
  }

  /** Tells all agents to leave, and waits for them a little. */
  async leave(): Promise<void> {
    const { clock } = this.#house.loop;
    for (const session of this.pool.sessions) session.drain();
    const end = clock.now() + FAREWELL_MS;
    while (this.pool.size > 0 && clock.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  cut(): void {
    this.#expiry.stop();
    this.#slime?.close();
    for (const session of this.pool.sessions) session.close(new Failure('draining', 'the hub has stopped'));
  }

  #joined(session: Session, twin: Session | null): void {
    const { log } = this.#house;
    const { agent, slots } = session;
    this.#house.console?.changed('agents');
    this.#expiry.joined(session);
    this.#counts.joined(session);
    const { certificate } = agent;
    log.info(
      { agent: agent.id, name: agent.name, from: agent.address, slots, ...(certificate === undefined ? {} : { certificate: certificate.subject }) },
      'agent joined',
    );
    if (twin !== null)
      log.warn(
        { agent: agent.id, from: agent.address, other: twin.agent.address },
        'another process has the same id: both get work; give each its own --agent-id or --state-dir',
      );
  }

  #left(session: Session, reason: string): void {
    const { agent } = session;
    this.#house.console?.changed('agents');
    this.#expiry.left(session);
    this.#counts.left(session);
    this.#house.log.info({ agent: agent.id, name: agent.name, reason }, 'agent left');
  }
}
