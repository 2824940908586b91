import type { Loop } from '../std/loop.ts';
import type { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import type { QueueRoom, Upstream } from '../upstream/upstream.ts';
import type { Anteroom } from './anteroom.ts';
import type { ErrorPages } from './error-pages.ts';
import type { Journal } from './journal.ts';
import type { Location, Match } from './location.ts';
import type { ProxyMetrics } from './metrics.ts';
import type { LocationTally } from './tally.ts';
import type { Tracer } from './tracer.ts';

/** Looks at a request before anything else is done with it, and may change its head. @returns why it is not served, or null */
export type Guard = (head: RequestHead) => Failure | null;

/** What the requests of one server have in common. Immutable: a reload makes a new one, and an exchange keeps the one that it began with. */
export interface Site {
  readonly loop: Loop;
  /** Our name in `Via`. */
  readonly viaName: string;
  readonly pages: ErrorPages;
  /** Is this address a proxy whose word on its clients is believed? */
  readonly trusts: (address: string) => boolean;
  readonly guards: readonly Guard[];
  /** The location that a request belongs to; null when there is none. */
  find(head: RequestHead): Match<Location> | null;
  /** The upstream of that name; null when there is none. For plugins that choose. */
  upstream(name: string): Upstream | null;
  /** Stands for a location where none was found. */
  readonly nowhere: Location;
  /** What is said when none was found. */
  missing(head: RequestHead): Failure;
  /** Where requests wait to come inside; null when all may. */
  readonly anteroom: Anteroom | null;
  /** Bytes of a waiting request's body that are read before reading pauses. */
  readonly waitingBytes: number;
  /** Bytes of the bodies of all waiting requests together. */
  readonly queueRoom: QueueRoom;
  readonly metrics: ProxyMetrics;
  /** Where requests are counted that belong to no location. */
  readonly tally: LocationTally;
  /** Something threw that must not: said once per occurrence, the request is answered 500. */
  defect(error: unknown): void;
  /** Null: no line is written per request, and nothing is spent. */
  readonly journal: Journal | null;
  /** Null: no request is recorded, and nothing is spent. */
  readonly tracer: Tracer | null;
}
