/**
 * The waist of the house: one push-shaped, synchronous interface between whoever receives requests (HTTP servers, tunnel listeners) and whoever
 * answers them (the proxy core, endpoints, the admin API). Why it is no Node stream: decisions/002.
 *
 * The rules, for everybody on either side:
 * - A chunk is **borrowed** until `write` returns; who holds it longer holds `reads.keep(chunk)`.
 * - `write` always takes the chunk; `false` asks to stop until `writer.drained()`, which never comes from inside a call on that sink.
 * - `abort` on either sink ends both directions. It may come until `settled`, also after `end`: that is how a departed client cancels.
 *   Calls after `abort` are ignored.
 * - An endpoint never calls `reply` before its `open` has returned; a handler that answers at once may.
 * - Heads are scratch: valid until the call that delivers them returns. Hold `head.keep()`.
 * - After `head(101)` both sinks carry raw bytes and `end` half-closes; nothing is written to the request sink before.
 * - Heads carry the framing (`length`); a body that does not match it is an abort.
 * - `informational(100)` is the order to send the body of a request that expects it.
 * - Both sides say `settled` once, last: the caller when its last byte is with the kernel or the exchange died (the log phase runs there), the
 *   endpoint when nothing of the exchange runs on its side any more (an agent's slot is returned there). Either may come first.
 */
import type { Trace } from '../observe/trace.ts';
import type { OnAbort } from './client-h1.ts';
import type { Failure } from './failure.ts';
import type { HeaderList, RequestHead, ResponseHead } from './head.ts';

/** Who fills a sink. */
export interface Writer {
  /** Follows a write() that said false. */
  drained(): void;
}

/** Where a body goes. */
export interface BodySink {
  /** Who wants to hear drained(); set by whoever writes, before the first write. */
  writer: Writer | null;
  write(chunk: Uint8Array): boolean;
  /** The body is complete. */
  end(trailers?: HeaderList): void;
  abort(failure: Failure): void;
}

/** Where an answer goes. */
export interface ReplySink extends BodySink {
  /** An interim answer: 100, 102, 103. */
  informational(head: ResponseHead): void;
  head(head: ResponseHead): void;
  /** The endpoint's last word, exactly once, also after an abort by either side. */
  settled(): void;
}

/** Where a request's body goes. */
export interface RequestSink extends BodySink {
  /** The caller's last word, exactly once. */
  settled(): void;
}

/** Anything that answers requests. */
export interface Handler {
  open(request: RequestHead, reply: ReplySink, notes: Notes): RequestSink;
}

/** One place to send requests to. */
export interface Endpoint extends Handler {
  /** Stable name in logs and metrics. */
  readonly id: string;
}

/** How much of a request had gone out when it failed: what the retry rule asks. */
export type Began = 'no' | 'maybe' | 'yes';

/** What an agent says of its part in an exchange, ms. Made by whoever wants to know, filled by the tunnel where the agent answers. */
export class AgentTimes {
  /** At the agent: when the request came there, monotonic; 0 elsewhere. */
  openedMs = 0;
  /** Did the agent say anything? */
  told = false;
  /** From the request's coming to the agent until the head of the answer was there. */
  headMs = 0;
  /** What connecting to the service took, and the part of it that was TLS; 0 on a connection that was there. */
  connectMs = 0;
  connectTlsMs = 0;
  /** The agent sends spans of this exchange itself. */
  traced = false;
}

/** How long plugins made a request wait before it went on. Made when one does, so that others cost nothing. */
export class PluginTimes {
  /** When the first of them began to, monotonic ms. */
  readonly fromMs: number;
  /** When none did any more; 0 = one does still, or did when the request was over. */
  toMs = 0;
  /** Which ones, comma separated. */
  names: string;

  constructor(fromMs: number, name: string) {
    this.fromMs = fromMs;
    this.names = name;
  }
}

/**
 * A plain record of one exchange: filled by whoever knows, read by log, metrics and retry. Times are monotonic ms, 0 = did not happen.
 */
export class Notes {
  /** When the first byte of the request was read. */
  startMs: number;
  /** When the head of the answer must be there, over all attempts; 0 = no limit. Agents are told what is left of it. */
  dueMs = 0;
  /** When it was given to an endpoint. */
  dispatchedMs = 0;
  /** When the final head of the answer came. */
  firstByteMs = 0;
  /** Name of the endpoint that answered (or failed last). */
  endpoint = '';
  /** Endpoint address, or the agent's id. */
  address = '';
  /** Id of the agent that answered, '' without one. */
  agent = '';
  /** A kept-alive connection was used. */
  reused = false;
  /** What connecting took, ms; 0 on a connection that was there. */
  connectMs = 0;
  /** The part of it that was TLS. */
  connectTlsMs = 0;
  /** When the connection was begun. */
  connectionMs = 0;
  /** Connections to that address that were open. */
  connections = 0;
  attempts = 0;
  /** Attempts that failed and were followed by another: `endpoint:code`, comma separated. */
  tries = '';
  began: Began = 'no';
  /** Wait for a slot, ms. */
  waitedMs = 0;
  status = 0;
  /** Bytes of the request body and of the answer's body, as carried on this side's wire. */
  requestBytes = 0;
  replyBytes = 0;
  /** What is to become of the endpoint's work when the client leaves; null = as the endpoint was told. */
  onAbort: OnAbort | null = null;
  /** Why it ended badly; null when it did not. */
  failure: Failure | null = null;
  /** What plugins want in the log, by name; null = nothing. */
  noted: Map<string, string | number> | null = null;
  /** Where it stands in a trace that is recorded; null = it is in none, or in one that is not. */
  trace: Trace | null = null;
  /** What its agent is asked to tell; null = nothing. */
  times: AgentTimes | null = null;
  /** Null: none made it wait. */
  plugins: PluginTimes | null = null;

  constructor(startMs: number) {
    this.startMs = startMs;
  }
}
