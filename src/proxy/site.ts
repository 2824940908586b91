import type { Loop } from '../std/loop.ts';
import type { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { ErrorPages } from './error-pages.ts';
import type { Journal } from './journal.ts';
import type { ProxyMetrics } from './metrics.ts';

/** Looks at a request before anything else is done with it, and may change its head. @returns why it is not served, or null */
export type Guard = (head: RequestHead) => Failure | null;

/** What the core needs to know to serve one address: who may ask, whom to ask, how long to wait. */
export interface Site {
  readonly loop: Loop;
  /** Our name in `Via`. */
  readonly viaName: string;
  readonly pages: ErrorPages;
  /** Is this address a proxy whose word on its clients is believed? */
  trusts(address: string): boolean;
  readonly guards: readonly Guard[];
  readonly upstream: Upstream;
  /** How long this request may wait for a slot, ms; 0 = not at all. */
  patienceMs(head: RequestHead): number;
  /** Requests inside at once, waiting ones included; 0 = unlimited. */
  readonly concurrent: number;
  /** How long a request may wait to come inside, ms, and how many may. */
  readonly entryWaitMs: number;
  readonly entryQueue: number;
  /** Waiting, connecting and the wait for the head of the answer together, ms; 0 = no limit. */
  readonly timeoutMs: number;
  /** Upgrade tokens that pass, lower case. */
  readonly upgrades: ReadonlySet<string>;
  /** Bytes of a waiting request's body that are read before reading pauses. */
  readonly waitingBytes: number;
  /** Bytes of the bodies of all waiting requests together. */
  readonly queueBytes: number;
  readonly metrics: ProxyMetrics;
  /** Something threw that must not: said once per occurrence, the request is answered 500. */
  defect(error: unknown): void;
  /** Null: no line is written per request, and nothing is spent. */
  readonly journal: Journal | null;
}
