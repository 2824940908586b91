import { randomBytes } from 'node:crypto';
import type { Loop } from '../../std/loop.ts';
import { Failure } from '../../http/failure.ts';
import type { Page, TrafficItem, TrafficSettings, TrafficStory } from '../../admin/model.ts';
import type { TrafficFilter } from '../../admin/traffic-filter.ts';
import type { TrafficBackend } from '../../admin/traffic-routes.ts';
import type { Inspected, Inspector } from '../../proxy/inspector.ts';
import { replay, replayProblem } from '../../proxy/replay.ts';
import { TRAFFIC_PER_SECOND, TRAFFIC_SLICE, TRAFFIC_USUAL } from '../limits.ts';
import type { Listener } from '../listener.ts';
import { trafficItem, trafficStory } from './traffic-story.ts';

/** The last requests, for the console. */
export class ConsoleTraffic implements TrafficBackend {
  readonly #inspector: Inspector;
  readonly #loop: Loop;
  /** Where a server listens; null: it does no more. */
  readonly #listenerOf: (server: string) => Listener | null;
  readonly #secretNames: () => ReadonlySet<string>;
  /** So that an id of an earlier process is none of this one. */
  readonly #prefix = `${randomBytes(3).toString('hex')}-`;
  /** When it is switched on without a number. */
  #size = TRAFFIC_USUAL;

  /** `secretNames`: of fields and parameters in which settings expect secrets, in lower case, beside those that everybody knows. */
  constructor(
    inspector: Inspector,
    loop: Loop,
    listenerOf: (server: string) => Listener | null,
    secretNames: () => ReadonlySet<string> = () => NO_NAMES,
  ) {
    this.#inspector = inspector;
    this.#loop = loop;
    this.#listenerOf = listenerOf;
    this.#secretNames = secretNames;
  }

  readonly #idOf = (number: number): string => `${this.#prefix}${number}`;

  #numberOf(id: string): number | null {
    const digits = id.startsWith(this.#prefix) ? id.slice(this.#prefix.length) : '';
    return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : null;
  }

  #item(exchange: Inspected): TrafficItem {
    return trafficItem(exchange, this.#idOf, this.#loop.clock.now(), this.#secretNames());
  }

  async list(filter: TrafficFilter, limit: number, before: string | null): Promise<Page<TrafficItem>> {
    const items: TrafficItem[] = [];
    const from = before === null ? Number.POSITIVE_INFINITY : (this.#numberOf(before) ?? Number.POSITIVE_INFINITY);
    let total = 0;
    let next: number | null = from;
    // In slices: a hundred thousand of them must not hold up requests.
    while (next !== null) {
      let seen = 0;
      let at: number = next;
      next = null;
      for (const exchange of this.#inspector.latest(at)) {
        if (++seen > TRAFFIC_SLICE) {
          next = at;
          break;
        }
        at = exchange.number;
        const item = this.#item(exchange);
        if (!filter(item)) continue;
        total++;
        if (items.length < limit) items.push(item);
      }
      if (next !== null) await new Promise((resolve) => setImmediate(resolve));
    }
    return { total, items };
  }

  async story(id: string): Promise<TrafficStory | null> {
    const exchange = this.#find(id);
    return exchange === null ? null : trafficStory(exchange, this.#idOf, this.#loop.clock.now(), this.#secretNames());
  }

  #find(id: string): Inspected | null {
    const number = this.#numberOf(id);
    return number === null ? null : this.#inspector.find(number);
  }

  follow(filter: TrafficFilter, heard: (item: TrafficItem) => void, missed: (count: number) => void): () => void {
    const { clock } = this.#loop;
    let sinceMs = clock.now();
    let left = TRAFFIC_PER_SECOND;
    let lost = 0;
    return this.#inspector.listen((exchange) => {
      const now = clock.now();
      if (now - sinceMs >= 1_000) {
        sinceMs = now;
        left = TRAFFIC_PER_SECOND;
        if (lost > 0) missed(lost);
        lost = 0;
      }
      // Nobody reads faster, and to make an item is work that requests wait for. One that nobody has looked at counts, as it might have been wanted.
      if (left === 0) {
        lost++;
        return;
      }
      const item = this.#item(exchange);
      if (!filter(item)) return;
      left--;
      heard(item);
    });
  }

  async settings(): Promise<TrafficSettings> {
    const { size } = this.#inspector;
    return { enabled: size > 0, size: size > 0 ? size : this.#size };
  }

  async change({ enabled, size }: TrafficSettings): Promise<TrafficSettings> {
    this.#size = size;
    this.#inspector.resize(enabled ? size : 0);
    return this.settings();
  }

  async clear(): Promise<void> {
    this.#inspector.clear();
  }

  async replay(id: string): Promise<{ readonly id: string } | { readonly why: string } | null> {
    const exchange = this.#find(id);
    if (exchange === null) return null;
    if (!exchange.isOver) return { why: 'it has not ended yet' };
    const why = replayProblem(exchange);
    if (why !== '') return { why };
    const listener = this.#listenerOf(exchange.server);
    if (listener === null) return { why: `the server ${exchange.server} is not there any more` };
    const made = replay(exchange, this.#inspector, listener.door, listener.spec.limits, this.#loop);
    return made instanceof Failure ? { why: made.detail } : { id: this.#idOf(made) };
  }
}

const NO_NAMES: ReadonlySet<string> = new Set();
