import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import type { Timed } from '../std/sweeper.ts';
import type { Loop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';
import { Failure } from '../http/failure.ts';
import { pressureLimits } from './limits.ts';

/** What a process does about memory and descriptors before they run out. */
export interface PressureOptions {
  readonly loop: Loop;
  readonly log: Log;
  /** Share of the heap that is used, 0 to 1. */
  readonly heapShare?: () => number;
  /** Connections turned away so far, for want of descriptors or because of --max-connections. */
  refused(): number;
  /** Closes client connections on which nothing happens. */
  closeIdle(): void;
  /** Are new connections to be closed at once? Each costs memory before it has said a word. */
  setFull(isFull: boolean): void;
}

/** 0: all is well. 1: nothing new may wait, idle connections are closed. 2: new requests get 503. */
export type PressureLevel = 0 | 1 | 2;

/** Looks at the heap once per sweep of the loop, and at connections that were turned away. */
export class Pressure implements Timed {
  due: number;
  place = -1;
  level: PressureLevel = 0;
  readonly #options: PressureOptions;
  readonly #heapShare: () => number;
  #refusedBefore = 0;
  #refusedToldMs = Number.NEGATIVE_INFINITY;
  #heapToldMs = Number.NEGATIVE_INFINITY;
  #idleClosedMs = Number.NEGATIVE_INFINITY;

  constructor(options: PressureOptions) {
    this.#options = options;
    this.#heapShare = options.heapShare ?? usedHeapShare;
    this.due = options.loop.clock.now();
    options.loop.sweeper.add(this);
  }

  /** The sweeper calls it, every time. */
  expired(now: number): void {
    this.due = now;
    this.#lookAtHeap(now);
    this.#lookAtRefused(now);
  }

  #lookAtHeap(now: number): void {
    const share = this.#heapShare();
    const { busyShare, fullShare, relief } = pressureLimits;
    const before = this.level;
    // Down only when it is well below, or every sweep would change it.
    if (share >= fullShare || (before === 2 && share >= fullShare - relief)) this.level = 2;
    else if (share >= busyShare || (before > 0 && share >= busyShare - relief)) this.level = 1;
    else this.level = 0;
    if ((this.level === 2) !== (before === 2)) this.#options.setFull(this.level === 2);
    if (this.level === 0) return;
    if (this.level > before && now - this.#heapToldMs >= pressureLimits.alarmMs) {
      this.#heapToldMs = now;
      const does = this.level === 2 ? 'new requests get 503, new connections are closed' : 'no request may wait, idle connections are closed';
      this.#options.log.warn({ heapPercent: Math.round(share * 100) }, `memory runs short: ${does}`);
    }
    if (now - this.#idleClosedMs < pressureLimits.idleEveryMs) return;
    this.#idleClosedMs = now;
    this.#options.closeIdle();
  }

  #lookAtRefused(now: number): void {
    const refused = this.#options.refused();
    if (refused === this.#refusedBefore || now - this.#refusedToldMs < pressureLimits.alarmMs) return;
    this.#options.log.warn({ refused: refused - this.#refusedBefore }, 'as many connections are open as may be: new ones are closed');
    this.#refusedBefore = refused;
    this.#refusedToldMs = now;
  }

  /** For the core: why no request is taken now, or null. */
  readonly guard = (): Failure | null => (this.level === 2 ? new Failure('overload', 'memory runs short', 1) : null);

  close(): void {
    this.#options.loop.sweeper.remove(this);
  }
}

/** What dies of memory is the old generation: V8 gives up when that is full, whatever the young one has left; its limit is the heap's without the young generation's. */
function usedHeapShare(): number {
  let used = 0;
  for (const space of getHeapSpaceStatistics()) if (!space.space_name.startsWith('new_')) used += space.space_used_size;
  const { heap_size_limit } = getHeapStatistics();
  return used / Math.max(heap_size_limit - pressureLimits.youngBytes, heap_size_limit / 4);
}

/** How many client connections the descriptors allow; 0 = the system does not tell. `perClient`: descriptors that one may need, its upstream's included. */
export function connectionsFor(maxDescriptors: number, openDescriptors: number, perClient: number): number {
  if (maxDescriptors <= 0) return 0;
  const usable = maxDescriptors * (1 - pressureLimits.reservedShare) - Math.max(0, openDescriptors);
  return Math.max(1, Math.floor(usable / perClient));
}
