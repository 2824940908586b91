import type { Agent } from './agent.ts';
import type { Dice } from './dice.ts';
import type { Hub } from './hub.ts';
import type { IdleSlots } from './idle-slots.ts';

export interface ChaosOptions {
  readonly hubs: readonly Hub[];
  readonly agents: readonly Agent[];
  readonly dice: Dice;
  readonly idle: IdleSlots;
  /** Mean time between two events, ms. */
  readonly everyMs: number;
  /** Are there silences that outlast the pings (16 s and more)? */
  readonly long: boolean;
  /** These are never ended, so that their memory can be followed. */
  readonly spared: ReadonlySet<Hub | Agent>;
  failed(error: Error): void;
}

/** What is done to whom, and how often in comparison. */
const EVENTS = {
  'hub killed': 2,
  'hub stopped for a while': 2,
  'hub restarted in order': 2,
  'agent killed': 3,
  'agent stopped for a while': 2,
  'agent replaced in order': 2,
  'way silent for a while': 3,
  'way cut': 3,
  'way half closed': 2,
  'way slow for a while': 2,
} as const;

type Event = keyof typeof EVENTS;

/** Until whoever lost a session has dialled again: the longest backoff and a little, ms. */
const REJOIN_MS = 6_000;
const SETTLE_MS = 500;

/** Does harm at random moments to hubs, agents and the ways between them, and always puts it right again. At most one hub and two agents suffer at once. */
export class Chaos {
  readonly #options: ChaosOptions;
  readonly counts = new Map<Event, number>();
  readonly #suffering = new Set<object>();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #wake = new Set<() => void>();

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#later();
  }

  get events(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** No new harm; what was done is put right. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const wake of this.#wake) wake();
    await Promise.all(this.#running);
  }

  #later(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(
      () => {
        this.#happen();
        this.#later();
      },
      this.#options.dice.between(0.2, 1.8) * this.#options.everyMs,
    );
  }

  #happen(): void {
    const { dice } = this.#options;
    const bag = Object.entries(EVENTS).flatMap(([event, weight]) => Array.from({ length: weight }, () => event as Event));
    const event = dice.pick(bag);
    const run = this.#start(event);
    if (run === null) return;
    this.counts.set(event, (this.counts.get(event) ?? 0) + 1);
    this.#running.add(run);
    void run.catch((error: unknown) => this.#options.failed(error as Error)).finally(() => this.#running.delete(run));
  }

  #start(event: Event): Promise<void> | null {
    const { hubs, agents, dice, spared } = this.#options;
    const hub = dice.pick(hubs);
    const agent = dice.pick(agents);
    const ends = event.endsWith('killed') || event.endsWith('in order');
    if (event.startsWith('hub')) {
      if (this.#suffering.has(hub) || hubs.some((one) => one.state !== 'up') || (ends && spared.has(hub))) return null;
      return this.#suffer(hub, () => this.#toHub(event, hub));
    }
    if (event.startsWith('agent')) {
      const others = agents.filter((one) => this.#suffering.has(one)).length;
      if (this.#suffering.has(agent) || others > 1 || (ends && spared.has(agent))) return null;
      return this.#suffer(agent, () => this.#toAgent(event, agent));
    }
    const way = agent.ways[hub.index]!;
    return this.#suffering.has(way) ? null : this.#suffer(way, () => this.#toWay(event, agent, hub));
  }

  async #suffer(who: object, run: () => Promise<void>): Promise<void> {
    this.#suffering.add(who);
    try {
      await run();
    } finally {
      this.#suffering.delete(who);
    }
  }

  async #toHub(event: Event, hub: Hub): Promise<void> {
    const { dice, agents, idle } = this.#options;
    const calms = [idle.hubs[hub.index]!, ...agents.map((_, i) => idle.ways[i]![hub.index]!)];
    for (const calm of calms) calm.begin();
    if (event === 'hub stopped for a while') {
      hub.pause();
      await this.#pause(this.#silenceMs());
      hub.resume();
    } else {
      await (event === 'hub killed' ? hub.kill() : hub.term());
      await this.#pause(dice.between(0, 2_000));
      await hub.start();
    }
    for (const calm of calms) calm.end(REJOIN_MS);
  }

  async #toAgent(event: Event, agent: Agent): Promise<void> {
    const { dice, agents, idle } = this.#options;
    const ways = idle.ways[agents.indexOf(agent)]!;
    // Any hub may have sent it something that waits now.
    for (const calm of [...idle.hubs, ...ways]) calm.begin();
    if (event === 'agent stopped for a while') {
      agent.child!.signal('SIGSTOP');
      await this.#pause(this.#silenceMs());
      agent.child!.signal('SIGCONT');
    } else if (event === 'agent killed') {
      await agent.kill();
      await this.#pause(dice.between(0, 2_000));
      await agent.start();
    } else await agent.replace();
    for (const calm of idle.hubs) calm.end(SETTLE_MS);
    for (const calm of ways) calm.end(REJOIN_MS);
  }

  async #toWay(event: Event, agent: Agent, hub: Hub): Promise<void> {
    const { dice, agents, idle } = this.#options;
    const way = agent.ways[hub.index]!;
    const toWay = idle.ways[agents.indexOf(agent)]![hub.index]!;
    const toHub = idle.hubs[hub.index]!;
    toWay.begin();
    toHub.begin();
    switch (event) {
      case 'way silent for a while':
        way.silent = true;
        await this.#pause(this.#silenceMs());
        way.heal();
        break;
      case 'way slow for a while':
        way.delayMs = hub.delayMs + dice.between(20, 300);
        await this.#pause(dice.between(500, 3_000));
        way.delayMs = hub.delayMs;
        break;
      case 'way half closed':
        way.halfClose(dice.chance(0.5));
        break;
      default:
        way.cut();
    }
    toHub.end(SETTLE_MS);
    toWay.end(REJOIN_MS);
  }

  #silenceMs(): number {
    const { dice, long } = this.#options;
    return long && dice.chance(0.15) ? dice.between(11_000, 19_000) : dice.next() ** 2 * 3_000;
  }

  #pause(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#wake.add(wake);
    });
  }
}
