import type { Agent } from './agent.ts';
import { Client, type Departure, type Outcome } from './client.ts';
import type { Dice } from './dice.ts';
import type { Hub } from './hub.ts';
import type { IdleSlots } from './idle-slots.ts';
import type { Origin, OriginUser } from './origin.ts';
import { isIdempotent, type Wanted } from './request.ts';
import { Tally } from './tally.ts';

export interface LoadOptions {
  readonly hubs: readonly Hub[];
  /** Filled before the load begins. */
  readonly agents: readonly Agent[];
  readonly dice: Dice;
  /** Mean time that origins work on a request, ms. */
  readonly workMs: number;
  readonly request: (id: number, dice: Dice, workMs: number) => Wanted;
  /** Share of the clients that leave before they have their answer. */
  readonly leaving: number;
  /** Requests at the hubs at once, in parts of all slots. */
  readonly factor: number;
  /** Ids are below this. */
  readonly most: number;
}

interface Live {
  readonly wanted: Wanted;
  hub: Hub;
  sentMs: number;
  sends: number;
  arrivals: number;
  /** It has been under way for so long that another one is sent in its place. */
  stuck: boolean;
}

/** A request older than this is held up by something that was done to it, ms. */
const STUCK_MS = 2_000;
/** However many are held up, so many times the usual number are sent to one hub. */
const MOST_STUCK = 3;
const SENDS = 8;
/** So many defects, and the run is given up. */
const MOST_WRONG = 20;
/** Long enough for all slots to be taken meanwhile. */
const FILL_MS = 2_000;
/** A hub that refused a connection is left alone for this long, ms. */
const SHUNNED_MS = 100;
/** No request may take longer, ms. */
const HUNG_MS = 60_000;

/** Clients that keep more requests at the hubs than there are slots, and origins that look at what arrives. */
export class Load implements OriginUser {
  readonly #options: LoadOptions;
  readonly tally: Tally;
  readonly #clients: readonly Client[];
  readonly #live = new Map<number, Live>();
  /** By hub: requests that are not stuck, and all. */
  readonly #young: number[];
  readonly #open: number[];
  readonly #shunned: number[];
  readonly #posts: Uint8Array;
  #nextId = 0;
  #goal = 0;
  #done: (() => void) | null = null;
  idle: IdleSlots | null = null;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#clients = options.hubs.map((hub) => new Client(hub));
    this.#young = options.hubs.map(() => 0);
    this.#open = options.hubs.map(() => 0);
    this.#shunned = options.hubs.map(() => 0);
    this.#posts = new Uint8Array(options.most);
    this.tally = new Tally(options.hubs.length);
  }

  get sent(): number {
    return this.#nextId;
  }

  /** Requests that hubs have and no origin, by hub. */
  waiting(): number[] {
    const counts = this.#options.hubs.map(() => 0);
    for (const { hub, arrivals } of this.#live.values()) if (arrivals === 0) counts[hub.index]!++;
    return counts;
  }

  /** Sends requests until `goal` have been sent in all, and waits for what becomes of them. */
  async run(goal: number): Promise<void> {
    this.#goal = goal;
    const timer = setInterval(() => this.#look(), 100);
    const done = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    this.#look();
    await done;
    clearInterval(timer);
  }

  /** Asks for more than there are slots, each request long. @returns the agents whose slots were never all used, with the most that were */
  async fill(): Promise<string[]> {
    const { agents, hubs, most: firstId } = this.#options;
    const slots = agents.reduce((sum, agent) => sum + agent.slots, 0);
    let open = 0;
    for (let i = 0; i < 1.3 * slots; i++) {
      open++;
      const wanted: Wanted = {
        id: firstId + i,
        method: 'GET',
        form: 'length',
        workMs: FILL_MS,
        stubbornMs: 0,
        bytes: 10,
        from: 0,
        upBytes: 0,
        upFrom: 0,
      };
      this.#clients[i % hubs.length]!.send(wanted, null, () => open--);
    }
    const most = agents.map(() => 0);
    while (open > 0) {
      for (const [i, { origin }] of agents.entries()) most[i] = Math.max(most[i]!, origin.running);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return agents.flatMap(({ name, slots: count }, i) => (most[i] === count ? [] : [`${name}: only ${most[i]} of ${count} slots were used`]));
  }

  /** Resolves when the last request has been sent for the first time, or when it is given up. */
  async nearlySent(): Promise<void> {
    while (this.#nextId < this.#goal && this.tally.wrong.length < MOST_WRONG) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  /** Requests per hub at once: those of a hub that does not answer go to the others. */
  #share(): number {
    const { agents, hubs, factor } = this.#options;
    let slots = 0;
    for (const { slots: count } of agents) slots += count;
    const up = hubs.filter(({ state }) => state === 'up').length;
    return Math.max(1, Math.round((slots * factor) / Math.max(1, up)));
  }

  #look(): void {
    const now = performance.now();
    for (const live of this.#live.values()) {
      if (!live.stuck && now - live.sentMs > STUCK_MS) {
        live.stuck = true;
        this.#young[live.hub.index]!--;
      }
      if (now - live.sentMs > HUNG_MS) {
        live.sentMs = now;
        this.tally.wrong.push(`request ${live.wanted.id} at ${live.hub.name} has had no answer for a minute`);
      }
    }
    for (const hub of this.#options.hubs) this.#fill(hub);
  }

  #isUp(hub: Hub): boolean {
    return hub.state !== 'down' && hub.state !== 'starting' && hub.state !== 'stopping' && performance.now() > this.#shunned[hub.index]!;
  }

  #fill(hub: Hub): void {
    const share = this.#share();
    while (
      this.#nextId < this.#goal &&
      this.#isUp(hub) &&
      this.#young[hub.index]! < share &&
      this.#open[hub.index]! < MOST_STUCK * share &&
      this.tally.wrong.length < MOST_WRONG
    ) {
      const { dice, workMs, request } = this.#options;
      const wanted = request(this.#nextId++, dice, workMs);
      this.#send({ wanted, hub, sentMs: 0, sends: 0, arrivals: 0, stuck: false }, this.#departure());
    }
    if (this.#live.size === 0 && (this.#nextId >= this.#goal || this.tally.wrong.length >= MOST_WRONG)) this.#done?.();
  }

  #departure(): Departure | null {
    const { dice, workMs, leaving } = this.#options;
    if (!dice.chance(leaving)) return null;
    const phase = dice.pick(['time', 'time', 'upload', 'download'] as const);
    return { phase, at: phase === 'time' ? dice.next() * 2 * workMs : dice.next() };
  }

  #send(live: Live, departure: Departure | null): void {
    const { hub, wanted } = live;
    live.sends++;
    live.sentMs = performance.now();
    live.stuck = false;
    this.#live.set(wanted.id, live);
    this.#young[hub.index]!++;
    this.#open[hub.index]!++;
    this.#clients[hub.index]!.send(wanted, departure, (outcome) => this.#over(live, outcome));
  }

  #over(live: Live, outcome: Outcome): void {
    const { hub, wanted } = live;
    this.#open[hub.index]!--;
    if (!live.stuck) this.#young[hub.index]!--;
    this.#live.delete(wanted.id);
    if (outcome.kind === 'dropped' && !outcome.sent) this.#shunned[hub.index] = performance.now() + SHUNNED_MS;
    if (live.sends < SENDS && maySendAgain(wanted, outcome)) {
      this.tally.sentAgain++;
      this.#again(live);
      return;
    }
    const now = performance.now();
    const hubIsWell = (hub.state === 'up' || hub.state === 'stopped') && now - hub.troubledMs > 500;
    this.tally.over(wanted, hub, outcome, hubIsWell, now - live.sentMs);
    // Not from inside: a hub that refuses everything would be a recursion.
    setImmediate(() => this.#fill(hub));
  }

  /** At another hub that is there. */
  #again(live: Live): void {
    this.#live.set(live.wanted.id, live);
    live.stuck = true;
    setTimeout(() => {
      const { hubs, dice } = this.#options;
      const others = hubs.filter((hub) => hub !== live.hub && this.#isUp(hub));
      if (others.length > 0) live.hub = dice.pick(others);
      this.#send(live, null);
    }, 10);
  }

  // --- what origins see

  arrived(origin: Origin, wanted: Wanted): void {
    const { tally } = this;
    if (origin.running > origin.slots) tally.overSlots.push(`${origin.name}: ${origin.running} of ${origin.slots}, request ${wanted.id}`);
    if (wanted.id >= this.#options.most) return;
    if (wanted.method === 'POST') {
      if (this.#posts[wanted.id] === 1) tally.twice.push(`POST ${wanted.id}`);
      this.#posts[wanted.id] = 1;
    }
    tally.arrivals++;
    const live = this.#live.get(wanted.id);
    const agent = this.#options.agents.findIndex(({ origin: one }) => one === origin);
    if (live === undefined) this.idle?.filled(agent, 0, null, '');
    else {
      const isFirst = live.arrivals++ === 0 && live.sends === 1;
      this.idle?.filled(agent, live.hub.index, isFirst ? live.sentMs : null, `${wanted.method} ${wanted.id} at ${live.hub.name}, ${origin.name}`);
    }
  }

  ended(origin: Origin, wanted: Wanted): void {
    if (wanted.id < this.#options.most) this.idle?.freed(this.#options.agents.findIndex(({ origin: one }) => one === origin));
  }

  defect(text: string): void {
    this.tally.wrong.push(text);
  }
}

/** Only what an HTTP client may do by itself (RFC 9110 9.2.2): nothing had left, the hub said that it took nothing, or twice does no harm. */
function maySendAgain(wanted: Wanted, outcome: Outcome): boolean {
  if (outcome.kind === 'dropped') return !outcome.sent || isIdempotent(wanted);
  return outcome.kind === 'failure' && outcome.status === 503 && outcome.code === 'draining';
}
