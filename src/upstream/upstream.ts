import type { Endpoint } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import type { Waiter } from './queue.ts';

/** A place that can take a request now. */
export interface Candidate {
  readonly endpoint: Endpoint;
  /** Field lines for every answer that comes from it, each with its CRLF; '' for none. */
  readonly replyFields: string;
  /** Id of the agent behind it; '' when it is an address. */
  readonly agentId: string;
  /** Who counts what becomes of attempts there; null = nobody. */
  readonly watch: AttemptWatch | null;
}

/** Told of every attempt at a place: what its health, its breaker and its load are reckoned from. */
export interface AttemptWatch {
  /** A request goes out. */
  began(): void;
  /** The head of its answer came. At most once per began(). */
  answered(status: number): void;
  /** Nothing of it runs there any more. Once per began(). `failure`: why there is no whole answer; null when there is one, or when the client left. */
  ended(failure: Failure | null): void;
}

/** A named group of endpoints that can stand in for each other. */
export interface Upstream {
  /** Must the core hold every request's head, since its endpoints cannot give it back for another attempt elsewhere? */
  readonly keepsHeads: boolean;
  /** Somebody who can take this request now, but for the endpoint of id `not`; null when all are busy or nobody is there. */
  pick(head: RequestHead, not?: string): Candidate | null;
  /** Why pick() found nobody. */
  lacking(head: RequestHead): Failure;
  /** Puts a request that found nobody into the queue, at the place of its arrival. @returns null, or why it may not wait */
  wait(waiter: Waiter): Failure | null;
  /** Takes it out again (its client left, its time is over). */
  leave(waiter: Waiter): void;
  /** A request was served, from dispatch to the end of its answer, in this time, ms. */
  served?(serviceMs: number): void;
  /** Ends the keeping of a slot for a waiter. @returns whether it is there and wanted: then send the request to it at once */
  letGo(candidate: Candidate, wanted: boolean): boolean;
}
