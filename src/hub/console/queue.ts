import { randomBytes } from 'node:crypto';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../observe/log.ts';
import { Failure } from '../../http/failure.ts';
import type { QueueInfo } from '../../admin/model.ts';
import type { QueueBackend } from '../../admin/queue-routes.ts';
import type { AgentPool } from '../../upstream/agents.ts';
import { rankOf } from '../../upstream/queue.ts';
import { AGENTS } from './hub-overview.ts';

export interface ConsoleQueueOptions {
  /** Null: nobody can wait. */
  readonly pool: () => AgentPool | null;
  /** Requests that wait to come inside. */
  readonly outside: () => number;
  /** How many wait at each upstream. */
  readonly byUpstream: () => QueueInfo['byUpstream'];
  readonly clock: Clock;
  readonly log: Log;
  /** Told when something of it has been changed. */
  changed(): void;
}

/** A scope is the client's word, and no token's scope is longer. */
const SCOPE_CHARACTERS = 100;

/** The queue, for the console. */
export class ConsoleQueue implements QueueBackend {
  readonly #options: ConsoleQueueOptions;
  /** So that an id of an earlier process is none of this one. */
  readonly #prefix = `${randomBytes(3).toString('hex')}-`;

  constructor(options: ConsoleQueueOptions) {
    this.#options = options;
  }

  async info(limit: number): Promise<QueueInfo> {
    const { pool: poolNow, outside, byUpstream, clock } = this.#options;
    const pool = poolNow();
    if (pool === null) return { size: 0, outside: 0, oldestAgeMs: 0, serviceMs: 0, byUpstream: [], waiting: [] };
    const now = clock.now();
    const { oldest } = pool;
    return {
      size: pool.waiting,
      outside: outside(),
      oldestAgeMs: oldest === null ? 0 : Math.round(now - oldest.notes.startMs),
      serviceMs: Math.round(pool.serviceMs),
      byUpstream: byUpstream(),
      waiting: pool.places(limit).map(({ waiter, upstream, key, scope, path, estimatedWaitMs }, i) => ({
        id: `${this.#prefix}${waiter.arrival}`,
        position: i + 1,
        upstream: upstream === '' ? AGENTS : upstream,
        class: rankOf(waiter),
        key,
        scope: scope.slice(0, SCOPE_CHARACTERS),
        path,
        ageMs: Math.round(now - waiter.notes.startMs),
        estimatedWaitMs: estimatedWaitMs === null ? null : Math.round(estimatedWaitMs),
      })),
    };
  }

  async cancel(id: string, by: string): Promise<boolean> {
    const arrival = id.startsWith(this.#prefix) ? id.slice(this.#prefix.length) : '';
    if (!/^(?:0|[1-9]\d{0,15})$/.test(arrival)) return false;
    const waiter = this.#options.pool()?.waiterOf(Number(arrival)) ?? null;
    if (waiter === null) return false;
    waiter.giveUp(new Failure('cancelled', 'an operator has cancelled this request while it waited for a slot'));
    this.#options.log.info({ request: id, by }, 'an operator has cancelled a request that waited');
    this.#options.changed();
    return true;
  }
}
