import type { Log } from '../observe/log.ts';
import type { Failure } from '../http/failure.ts';
import type { HeaderList } from '../http/head.ts';
import type { Connection } from './connections.ts';

/** A request of an application. The same object in all events that are about it. */
export interface HubExchange {
  /** From 1, in the order of arrival. */
  readonly id: number;
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  readonly host: string;
  /** Address of the application, behind trusted proxies. */
  readonly client: string;
}

/** One sending of a request to an agent: most requests have one, those that are tried again more. The same object in all events that are about it. */
export interface HubAttempt {
  readonly exchange: HubExchange;
  readonly agent: Connection;
  /** From 1. */
  readonly number: number;
}

/** A request that is about to go to an agent. What is changed of it holds for this attempt. */
export interface Sending {
  readonly attempt: HubAttempt;
  header(name: string): string | undefined;
  headers(): Iterable<readonly [name: string, value: string]>;
  /** @throws RangeError for what cannot stand in a field line */
  setHeader(name: string, value: string): void;
  removeHeader(name: string): void;
  /** Path and query. @throws RangeError unless it begins with / and has no space or control characters */
  setTarget(target: string): void;
  /** It is not sent; the application is answered with this. */
  refuse(failure: Failure): void;
}

/** How a request ended. Times are ms from its first byte, 0 = that did not happen. */
export interface Outcome {
  readonly exchange: HubExchange;
  /** As logged: 499 for an application that left. */
  readonly status: number;
  /** Id of the agent that answered, or failed last; '' when there was none. */
  readonly agent: string;
  readonly attempts: number;
  /** For a slot. */
  readonly waitedMs: number;
  readonly firstByteMs: number;
  readonly durationMs: number;
  /** Of the bodies. */
  readonly requestBytes: number;
  readonly replyBytes: number;
}

/** What a hub tells of, by name. Listeners are called in the order in which they came, and synchronously: they must be quick. */
export interface HubEvents {
  /** An agent has joined: its registration, as Cranker says. */
  joined: { readonly agent: Connection };
  left: { readonly agent: Connection; readonly reason: string };
  /** Before the head goes to an agent. A listener that throws refuses the request (500). */
  sending: Sending;
  /** The body of the request is complete. */
  sent: { readonly attempt: HubAttempt; readonly bytes: number };
  /** The head of the answer came. */
  head: { readonly attempt: HubAttempt; readonly status: number; readonly headers: HeaderList };
  /** A piece of a body. `bytes` may be written over when the listener has returned. */
  chunk: { readonly attempt: HubAttempt; readonly of: 'request' | 'reply'; readonly bytes: Uint8Array };
  /** An attempt is over; `failure` is null when its answer was complete. */
  attempted: {
    readonly attempt: HubAttempt;
    readonly failure: Failure | null;
    readonly durationMs: number;
    readonly requestBytes: number;
    readonly replyBytes: number;
  };
  /** The last byte of an answer has gone out. An answer of 404 is an answer, too. */
  done: Outcome;
  /** A request got no whole answer of an agent: none was there, it waited too long, the answer broke off, the application left. */
  failed: Outcome & { readonly failure: Failure };
}

export type HubEventName = keyof HubEvents;
export type HubListener<K extends HubEventName> = (event: HubEvents[K]) => void;

/** Who listens to what. */
export class Listeners {
  readonly #log: Log;
  readonly #of = new Map<HubEventName, Set<(event: never) => void>>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @returns what ends it */
  on<K extends HubEventName>(name: K, listener: HubListener<K>): () => void {
    let set = this.#of.get(name);
    if (set === undefined) this.#of.set(name, (set = new Set()));
    // Who listens twice with one function is called twice.
    const own = (event: HubEvents[K]): void => listener(event);
    set.add(own);
    return () => set.delete(own);
  }

  has(name: HubEventName): boolean {
    const set = this.#of.get(name);
    return set !== undefined && set.size > 0;
  }

  /** @returns whether all went well: a listener that throws is logged */
  tell<K extends HubEventName>(name: K, event: HubEvents[K]): boolean {
    const set = this.#of.get(name) as Set<HubListener<K>> | undefined;
    if (set === undefined) return true;
    let isWell = true;
    for (const listener of set) {
      try {
        listener(event);
      } catch (error) {
        isWell = false;
        this.#log.error({ event: name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'a listener failed');
      }
    }
    return isWell;
  }
}
