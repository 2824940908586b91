// HOT: TraceSource.begin() runs per request while traces are on.
import { Buffer } from 'node:buffer';
import { randomFillSync } from 'node:crypto';

/** Where a request stands in a trace that is recorded (W3C Trace Context). */
export interface Trace {
  /** 32 hex digits, lower case. */
  readonly traceId: string;
  /** The span that we were told of, 16 hex digits; '' where the trace begins with us. */
  readonly parentId: string;
  /** Ours for all of the request, and the one that the next hop is told of. */
  readonly spanId: string;
  readonly sentId: string;
  /** `tracestate` as it came, to be shown with the spans; '' when there was none or it was none. */
  readonly state: string;
  /** Trace flags that go on. */
  readonly flags: number;
  /** Its X-Request-Id as it was sent on, for attributes. */
  requestId: string;
}

/** Trace flag: somebody records it. */
export const SAMPLED = 0x01;
/** Trace flag: the id is random in its last 7 bytes (level 2 of the recommendation). */
const RANDOM = 0x02;

/** A `traceparent` that may be believed. */
export interface TraceParent {
  readonly traceId: string;
  readonly parentId: string;
  readonly flags: number;
}

/** Decides which requests are recorded, and numbers their spans. */
export class TraceSource {
  /** Share of the requests without a trace for which one begins, 0 to 1. */
  readonly #ratio: number;
  readonly #random: () => number;
  readonly #ids: Ids;

  constructor(ratio: number, random: () => number = Math.random) {
    this.#ratio = ratio;
    this.#random = random;
    this.#ids = new Ids();
  }

  /**
   * `parent`, `state`: the fields as they came, '' when absent. What is in a trace is recorded when its flag says so, the rest by chance.
   * @returns null when it is not recorded: its fields go on as they are
   */
  begin(parent: string, state: string): Trace | null {
    const known = parent === '' ? null : parseTraceparent(parent);
    if (known !== null) {
      if ((known.flags & SAMPLED) === 0) return null;
      return this.#make(known.traceId, known.parentId, isTracestate(state) ? state : '', known.flags);
    }
    if (this.#ratio === 0 || this.#random() >= this.#ratio) return null;
    // The state of a parent that cannot be read is nobody's.
    return this.#make(this.#ids.take(32), '', '', SAMPLED | RANDOM);
  }

  #make(traceId: string, parentId: string, state: string, flags: number): Trace {
    return { traceId, parentId, spanId: this.#ids.take(16), sentId: this.#ids.take(16), state, flags, requestId: '' };
  }

  /** A further span of a trace. */
  spanId(): string {
    return this.#ids.take(16);
  }
}

/** `traceparent` for the next hop. */
export function traceparentOf({ traceId, sentId, flags }: Pick<Trace, 'traceId' | 'sentId' | 'flags'>): string {
  return `00-${traceId}-${sentId}-${flags < 16 ? '0' : ''}${flags.toString(16)}`;
}

const LENGTH = 55;
const DASH = 0x2d;

/** Reads a `traceparent`, strictly; of a version that is not known yet, what level 1 says of those. Null: it is none. */
export function parseTraceparent(text: string): TraceParent | null {
  if (text.length < LENGTH || !isHex(text, 0, 2) || !isHex(text, 3, 35) || !isHex(text, 36, 52) || !isHex(text, 53, LENGTH)) return null;
  if (text.charCodeAt(2) !== DASH || text.charCodeAt(35) !== DASH || text.charCodeAt(52) !== DASH) return null;
  const version = text.slice(0, 2);
  if (version === 'ff') return null;
  if (text.length > LENGTH && (version === '00' || text.charCodeAt(LENGTH) !== DASH)) return null;
  const traceId = text.slice(3, 35);
  const parentId = text.slice(36, 52);
  if (traceId === NO_TRACE || parentId === NO_SPAN) return null;
  const flags = Number.parseInt(text.slice(53, LENGTH), 16);
  return { traceId, parentId, flags: flags & (version === '00' ? SAMPLED | RANDOM : SAMPLED) };
}

const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);

/** Lower case only. */
function isHex(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i);
    if (!((c >= 0x30 && c <= 0x39) || (c >= 0x61 && c <= 0x66))) return false;
  }
  return true;
}

const MEMBERS = 32;
const STATE_CHARACTERS = 512;
const KEY = /^(?:[a-z][a-z\d_*/-]{0,255}|[a-z\d][a-z\d_*/-]{0,240}@[a-z][a-z\d_*/-]{0,13})$/;
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** Is this a `tracestate` as the recommendation wants it, and no longer than must be carried? */
export function isTracestate(text: string): boolean {
  if (text === '' || text.length > STATE_CHARACTERS) return false;
  const keys = new Set<string>();
  const members = text.split(',');
  if (members.length > MEMBERS) return false;
  for (const part of members) {
    const member = part.replace(/^[ \t]+|[ \t]+$/g, '');
    if (member === '') continue;
    const equals = member.indexOf('=');
    const key = member.slice(0, equals);
    if (equals < 1 || keys.has(key) || !KEY.test(key) || !VALUE.test(member.slice(equals + 1))) return false;
    keys.add(key);
  }
  return keys.size > 0;
}

/** Random hex digits, fetched many at a time: one fetch costs more than an id. */
class Ids {
  #pool = '';
  #at = 0;

  take(digits: number): string {
    if (this.#at + digits > this.#pool.length) {
      this.#pool = randomFillSync(Buffer.allocUnsafeSlow(POOL_BYTES)).toString('hex');
      this.#at = 0;
    }
    const id = this.#pool.slice(this.#at, this.#at + digits);
    this.#at += digits;
    // One in 2^64, and forbidden.
    return id === NO_SPAN || id === NO_TRACE ? this.take(digits) : id;
  }
}

const POOL_BYTES = 2048;
