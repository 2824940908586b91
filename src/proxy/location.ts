import type { Notes } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import type { RequestHead, ResponseHead } from '../http/head.ts';
import type { Captures, Upstream } from '../upstream/upstream.ts';
import type { PluginChain } from './plugin-chain.ts';
import type { LocationTally } from './tally.ts';

/** Requests of a location that run now, and how many may. It outlives reloads. */
export class Load {
  running = 0;
}

/** What a location found. */
export interface Match<T> {
  readonly value: T;
  readonly captures: Captures;
}

/** Changes a request before it goes out. */
export interface RequestEdits {
  /** Once per request, before an endpoint is chosen. @returns the captures from now on, or why the request cannot be served */
  apply(head: RequestHead, captures: Captures, notes: Notes): Captures | Failure;
  /** Null: nothing depends on the endpoint. Else once per attempt, when it has been chosen. */
  readonly applyLate: ((head: RequestHead, captures: Captures, notes: Notes) => void) | null;
}

/** Changes the head of an answer. */
export interface ReplyEdits {
  apply(head: ResponseHead, captures: Captures, notes: Notes): void;
}

/** How the requests that a location matches are served. Immutable: a reload makes new ones, and an exchange keeps the one that it began with. */
export interface Location {
  /** '' for the only one of a program without a file. */
  readonly name: string;
  /** Where its requests go; null when captures of its patterns choose. */
  readonly upstream: Upstream | null;
  /** The upstream that the captures name; null when there is none of that name. */
  choose?(captures: Captures): Upstream | null;
  /** How long a request may wait for a slot, ms; 0 = not at all. */
  patienceMs(head: RequestHead, upstream: Upstream): number;
  /** Waiting, connecting and the wait for the head of the answer together, ms; 0 = no limit. */
  readonly timeoutMs: number;
  /** Upgrade tokens that pass, lower case. */
  readonly upgrades: ReadonlySet<string>;
  /** Largest request body; 0 = the server's limit alone. */
  readonly bodyBytes: number;
  /** Requests at once, over which 429; 0 = unlimited. */
  readonly maxRunning: number;
  readonly load: Load;
  /** Where its requests are counted; null = with those of its server that belong to no location. */
  readonly tally: LocationTally | null;
  /** Attempts per request, the first included (rule R1). */
  readonly attempts: number;
  /** No further attempt later than this after the first byte of the request, ms; 0 = no limit but `timeoutMs`. */
  readonly retryWindowMs: number;
  /** Answers tell how long queue and upstream took (`Server-Timing`). */
  readonly tellsTiming: boolean;
  /** What is changed of a request before it goes out; null = nothing. */
  readonly edits: RequestEdits | null;
  /** In their order; null = none. */
  readonly plugins: PluginChain | null;
  /** What is changed of the head of an answer; null = nothing. */
  readonly replyEdits: ReplyEdits | null;
}

/** A location that asks for nothing particular, but for what is said. */
export function plainLocation(of: Pick<Location, 'name' | 'upstream'> & Partial<Location>): Location {
  return {
    patienceMs: () => 0,
    timeoutMs: 0,
    upgrades: NONE,
    bodyBytes: 0,
    maxRunning: 0,
    load: new Load(),
    tally: null,
    attempts: 1,
    retryWindowMs: 0,
    tellsTiming: false,
    plugins: null,
    edits: null,
    replyEdits: null,
    ...of,
  };
}

const NONE: ReadonlySet<string> = new Set();
