import type { OnAbort } from '../http/client-h1.ts';
import type { Endpoint } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import type { HeaderList, RequestHead, ResponseHead } from '../http/head.ts';
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
  /** Who wants to know how busy the endpoint says it is; null = nobody, and then its answers pass as they are. */
  readonly loads: LoadWatch | null;
}

/** Reads the reports of load in answers, and takes them out: they are for whoever balances. */
export interface LoadWatch {
  head(head: ResponseHead): void;
  /** @returns the trailers that go on */
  trailers(trailers: HeaderList): HeaderList;
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

/** What the patterns of a request's location found in its host and path, by name or number; null = nothing. Never changed once made: it may be held. */
export type Captures = ReadonlyMap<string, string> | null;

/** Memory for the bodies of requests that wait at one upstream. The core keeps `bytes`. */
export interface QueueRoom {
  /** Held now. */
  bytes: number;
  /** At most. */
  readonly maxBytes: number;
  /** HTTP status for whoever does not fit. Absent: 503. */
  readonly fullStatus?: number;
}

/** How a request that waits stands. */
export interface Place {
  /** From 1, among those that want the same, as it will be when nobody else comes. */
  readonly position: number;
  /** When it is likely to get a slot, ms from now; null while nobody can say. */
  readonly estimatedWaitMs: number | null;
}

/** A named group of endpoints that can stand in for each other. */
export interface Upstream {
  /** As in the configuration; '' where there is only one. */
  readonly name: string;
  /** Must the core hold every request's head, since its endpoints cannot give it back for another attempt elsewhere? */
  readonly keepsHeads: boolean;
  /**
   * Somebody who can take this request now, but for the endpoint of id `not`; null when all are busy or nobody is there. `captures` are those of
   * the request's location: an upstream of agents may choose by them (`agents = "route=$1"`).
   */
  pick(head: RequestHead, not?: string, captures?: Captures): Candidate | null;
  /** Why pick() found nobody. */
  lacking(head: RequestHead, captures?: Captures): Failure;
  /** How long this request may wait for a slot, ms; 0 = not at all. Absent: as the location (or hub) says. */
  patienceMs?(head: RequestHead): number;
  /** Its own bound for the bodies of waiting requests, beside that of the whole process. Absent: none. */
  readonly queueRoom?: QueueRoom;
  /** What an agent is to do with its service's work when the client has left. Absent or null: as the agent was told. */
  readonly onAbort?: OnAbort | null;
  /** Puts a request that found nobody into the queue, at the place of its arrival. @returns null, or why it may not wait */
  wait(waiter: Waiter): Failure | null;
  /** Takes it out again (its client left, its time is over). */
  leave(waiter: Waiter): void;
  /** Where a request that waits here stands; null when too many stand before it to count them. Absent: nobody waits here. */
  placeOf?(waiter: Waiter): Place | null;
  /** A request was served, from dispatch to the end of its answer, in this time, ms. */
  served?(serviceMs: number): void;
  /** Ends the keeping of a slot for a waiter. @returns whether it is there and wanted: then send the request to it at once */
  letGo(candidate: Candidate, wanted: boolean): boolean;
}
