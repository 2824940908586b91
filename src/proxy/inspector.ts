// HOT: begin(), sent(), answered() and finished() run per request while the inspector is on: heads are copied as text, and read when somebody looks.
import { Buffer } from 'node:buffer';
import type { ClientCertificate } from '../http/client-certificate.ts';
import { AgentTimes, Notes } from '../http/exchange.ts';
import type { Peer, RequestHead, ResponseHead } from '../http/head.ts';
import { requestRoom, responseRoom, writeRequest, writeResponse } from '../http/write.ts';
import type { Entry, Journal } from './journal.ts';
import { INSPECTED_BYTES, INSPECTED_FIRST_BYTES, INSPECTED_HEADS_BYTES, INSPECTED_SPARE } from './limits.ts';

/** Keeps the last exchanges of all servers for operators to look at, those that run included. Off, it costs nobody anything. */
export class Inspector {
  readonly #wall: () => number;
  /** By number modulo their count. */
  #ring: (Inspected | null)[] = [];
  readonly #spare: Inspected[] = [];
  readonly #heard = new Set<(exchange: Inspected) => void>();
  /** The number of the latest, and the least that was not forgotten before its turn. */
  #last = 0;
  #least = 1;
  /** What the texts of all that are kept take. */
  bytes = 0;
  #replayOf = 0;

  constructor(wall: () => number) {
    this.#wall = wall;
  }

  get isOn(): boolean {
    return this.#ring.length > 0;
  }

  /** Exchanges that are kept at most; 0 = off. */
  get size(): number {
    return this.#ring.length;
  }

  /** Keeps so many from now on; those that are there stay as far as they fit. */
  resize(size: number): void {
    if (size === this.#ring.length) return;
    const kept: Inspected[] = [];
    for (const exchange of this.latest()) {
      if (kept.length < size) kept.push(exchange);
      else this.#forget(exchange);
    }
    this.#ring = Array.from<Inspected | null>({ length: size }).fill(null);
    for (const exchange of kept) this.#ring[exchange.number % size] = exchange;
    this.#least = kept.at(-1)?.number ?? this.#last + 1;
    for (const exchange of this.#spare.splice(0)) exchange.giveUpText();
  }

  /** Forgets what is there. */
  clear(): void {
    for (const exchange of this.latest()) this.#forget(exchange);
    this.#ring.fill(null);
    this.#least = this.#last + 1;
  }

  /** Those that are kept, the latest first; from before number `before`. */
  *latest(before: number = Number.POSITIVE_INFINITY): Generator<Inspected, void, void> {
    const size = this.#ring.length;
    if (size === 0) return;
    for (let number = Math.min(this.#last, before - 1), least = this.#oldest; number >= least; number--) {
      const exchange = this.find(number);
      if (exchange !== null) yield exchange;
    }
  }

  /** The least number that may still be there. */
  get #oldest(): number {
    return Math.max(this.#least, this.#last - this.#ring.length + 1);
  }

  /** The number of the latest. */
  get last(): number {
    return this.#last;
  }

  find(number: number): Inspected | null {
    const exchange = this.#ring[number % this.#ring.length] ?? null;
    return exchange !== null && exchange.number === number ? exchange : null;
  }

  /** Calls back for every exchange that ends; what it is given is valid until it returns. @returns ends it */
  listen(heard: (exchange: Inspected) => void): () => void {
    this.#heard.add(heard);
    return () => void this.#heard.delete(heard);
  }

  /** What `open` lets in now is the same as that one once more. @returns the number of the new one */
  replay(of: number, open: () => void): number {
    this.#replayOf = of;
    try {
      open();
    } finally {
      this.#replayOf = 0;
    }
    return this.#last;
  }

  begin(server: string, head: RequestHead | null, notes: Notes, peer: Peer): Inspected {
    const size = this.#ring.length;
    const number = ++this.#last;
    const at = number % size;
    const old = this.#ring[at]!;
    let exchange: Inspected;
    if (old === null) exchange = this.#spare.pop() ?? new Inspected(this);
    else if (old.isOver) exchange = old;
    else {
      // It runs on, and nobody can look at it any more.
      old.isKept = false;
      exchange = this.#spare.pop() ?? new Inspected(this);
    }
    this.#ring[at] = exchange;
    exchange.start(number, server, head, notes, peer, this.#wall(), this.#replayOf);
    if (this.bytes > INSPECTED_BYTES) this.#shrink();
    return exchange;
  }

  /** @internal */
  over(exchange: Inspected): void {
    if (this.#heard.size > 0) for (const heard of this.#heard) heard(exchange);
    if (exchange.isKept) return;
    if (this.#spare.length < INSPECTED_SPARE) this.#spare.push(exchange);
    else exchange.giveUpText();
  }

  /** The oldest go, however many there may be by number. */
  #shrink(): void {
    this.#least = this.#oldest;
    while (this.bytes > INSPECTED_BYTES && this.#least < this.#last) {
      const oldest = this.find(this.#least++);
      if (oldest === null) continue;
      this.#ring[oldest.number % this.#ring.length] = null;
      this.#forget(oldest);
    }
  }

  #forget(exchange: Inspected): void {
    exchange.isKept = false;
    if (exchange.isOver) exchange.giveUpText();
  }
}

const NOTHING = Buffer.alloc(0);

/** One exchange, as it came, as it was sent on, and as it was answered. An object serves many exchanges, one after the other. */
export class Inspected implements Entry {
  readonly #inspector: Inspector;
  /** From 1. */
  number = 0;
  server = '';
  /** When it came, ms since the Unix epoch. */
  wallMs = 0;
  notes: Notes;
  client = '';
  /** Facts of the connection that it came on. */
  address = '';
  port = 0;
  scheme: 'http' | 'https' = 'http';
  localPort = 0;
  localAddress = '';
  http2 = false;
  certificate: ClientCertificate | null = null;
  minor = 1;
  upgrade = '';
  /** Had the request a body? */
  hasBody = false;
  /** Number of the exchange that it repeats; 0 = none. */
  replayOf = 0;
  status = 0;
  /** When it was over, monotonic ms; 0 = it runs. */
  endMs = 0;
  location = '';
  upstream = '';
  isKept = false;
  isOver = true;
  /** The heads as text, behind each other: as it came, as it was sent, the answer's. */
  #text: Buffer = NOTHING;
  #cameEnd = 0;
  #sentEnd = 0;
  #replyEnd = 0;

  constructor(inspector: Inspector) {
    this.#inspector = inspector;
    this.notes = NO_NOTES;
  }

  /** @internal */
  start(number: number, server: string, head: RequestHead | null, notes: Notes, peer: Peer, wallMs: number, replayOf: number): void {
    this.number = number;
    this.server = server;
    this.wallMs = wallMs;
    this.notes = notes;
    this.address = peer.address;
    this.port = peer.port;
    this.scheme = peer.scheme;
    this.localPort = peer.localPort;
    this.localAddress = peer.localAddress;
    this.http2 = peer.http2;
    this.certificate = peer.certificate;
    this.replayOf = replayOf;
    this.status = 0;
    this.endMs = 0;
    this.location = this.upstream = '';
    this.isKept = true;
    this.isOver = false;
    this.#cameEnd = this.#sentEnd = this.#replyEnd = 0;
    notes.times ??= new AgentTimes();
    if (head === null) {
      this.client = peer.address;
      this.upgrade = '';
      this.hasBody = false;
      this.minor = 1;
      return;
    }
    this.client = head.client;
    this.upgrade = head.upgrade;
    this.hasBody = !head.bodiless;
    this.minor = head.minor;
    const bytes = head.end - head.lineStart;
    if (!this.#hasRoom(0, bytes)) return;
    head.bytes.copy(this.#text, 0, head.lineStart, head.end);
    this.#cameEnd = this.#sentEnd = this.#replyEnd = bytes;
  }

  changed(): void {}

  sent(head: RequestHead): void {
    const from = this.#cameEnd;
    if (!this.#hasRoom(from, requestRoom(head, ''))) return;
    this.#sentEnd = this.#replyEnd = writeRequest(head, '', false, this.#text, from);
  }

  answered(head: ResponseHead): void {
    const from = this.#sentEnd;
    if (!this.#hasRoom(from, responseRoom(head))) return;
    this.#replyEnd = writeResponse(head, false, 'keep', this.#text, from);
  }

  passed(head: ResponseHead): void {
    this.answered(head);
  }

  trailed(): void {}

  finished(status: number, nowMs: number, location: string, upstream: string): void {
    this.status = status;
    this.endMs = nowMs;
    this.location = location;
    this.upstream = upstream;
    this.isOver = true;
    this.#inspector.over(this);
  }

  /** The head as it came; '' when it could not be read, or was too large to be kept. */
  get came(): string {
    return this.#text.latin1Slice(0, this.#cameEnd);
  }

  /** As the last attempt sent it on; '' when none did. */
  get sentOn(): string {
    return this.#text.latin1Slice(this.#cameEnd, this.#sentEnd);
  }

  /** The answer's; '' when there was none. */
  get reply(): string {
    return this.#text.latin1Slice(this.#sentEnd, this.#replyEnd);
  }

  /** Its heads are too large, or go since others need the memory. */
  giveUpText(): void {
    this.#inspector.bytes -= this.#text.length;
    this.#text = NOTHING;
    this.#cameEnd = this.#sentEnd = this.#replyEnd = 0;
  }

  #hasRoom(from: number, bytes: number): boolean {
    const wanted = from + bytes;
    const old = this.#text;
    if (wanted <= old.length) return true;
    if (wanted > INSPECTED_HEADS_BYTES || (!this.isKept && this.isOver)) return false;
    let length = old.length === 0 ? INSPECTED_FIRST_BYTES : old.length;
    while (length < wanted) length *= 2;
    this.#text = Buffer.allocUnsafeSlow(length);
    if (from > 0) old.copy(this.#text, 0, 0, from);
    this.#inspector.bytes += length - old.length;
    return true;
  }
}

/** What the inspector sees of one server, beside the journal that the server has anyway. */
export class InspectedServer {
  readonly #inspector: Inspector;
  readonly #base: Journal | null;
  readonly #both: Journal;

  constructor(inspector: Inspector, base: Journal | null, server: string) {
    this.#inspector = inspector;
    this.#base = base;
    this.#both =
      base === null
        ? { begin: (head, notes, peer) => inspector.begin(server, head, notes, peer) }
        : { begin: (head, notes, peer) => new Two(base.begin(head, notes, peer), inspector.begin(server, head, notes, peer)) };
  }

  /** What a request is told to that comes now. */
  get journal(): Journal | null {
    return this.#inspector.isOn ? this.#both : this.#base;
  }
}

/** Tells two of the same exchange. */
class Two implements Entry {
  readonly #one: Entry;
  readonly #other: Entry;

  constructor(one: Entry, other: Entry) {
    this.#one = one;
    this.#other = other;
  }

  changed(head: RequestHead): void {
    this.#one.changed(head);
  }

  sent(head: RequestHead): void {
    this.#one.sent(head);
    this.#other.sent(head);
  }

  answered(head: ResponseHead): void {
    this.#one.answered(head);
    this.#other.answered(head);
  }

  passed(head: ResponseHead): void {
    this.#one.passed(head);
    this.#other.passed(head);
  }

  trailed(trailers: readonly string[]): void {
    this.#one.trailed(trailers);
  }

  finished(status: number, nowMs: number, location: string, upstream: string): void {
    this.#one.finished(status, nowMs, location, upstream);
    this.#other.finished(status, nowMs, location, upstream);
  }
}

const NO_NOTES = new Notes(0);
