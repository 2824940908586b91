// HOT: open() and the frames of requests run per exchange.
import type { Buffer } from 'node:buffer';
import { AgentTimes, type Handler, Notes } from '../../http/exchange.ts';
import { RequestHead } from '../../http/head.ts';
import type { Flushable } from '../../std/turn.ts';
import type { Wire } from '../../std/wire.ts';
import { AgentStream, type AgentStreamOwner } from './agent-stream.ts';
import {
  CANCEL,
  F_RELEASED,
  F_SHARED,
  GOAWAY,
  HEADER_BYTES,
  HELLO,
  OPEN,
  plainText,
  readU32,
  REFUSED,
  RESET,
  SLOTS,
  WAITING,
  WELCOME,
  writeHeader,
  writeU32,
} from './frames.ts';
import { type Farewell, type Hello, readWelcome, type Welcome, writeFarewell, writeHello } from './hello.ts';
import { Link, type LinkOptions } from './link.ts';
import { asksForTimes, readOnAbort, readOpen } from './open.ts';
import type { SlotLedger, SlotShare, SlotsUser } from './slots.ts';
import type { Stream } from './stream.ts';
import { ends } from './stream.ts';

/** Who answers, with what, and who is told how it goes. */
export interface AgentSessionOptions extends LinkOptions {
  readonly handler: Handler;
  readonly slots: SlotLedger;
  /** For logs. */
  readonly hub: string;
  joined(welcome: Welcome): void;
  /** The session is over; `farewell` is what the hub said, null when it said nothing. */
  over(reason: string, farewell: Farewell | null): void;
}

/** One connection to one hub, as the agent sees it. */
export class AgentSession extends Link<AgentStream> implements AgentStreamOwner, SlotsUser, Flushable {
  queued = false;
  readonly #options: AgentSessionOptions;
  readonly #scratch: RequestHead;
  /** This hub's part in the slots; null before WELCOME and once nothing is taken here any more. */
  #share: SlotShare | null = null;
  /** What the hub computes as free from all we have sent and received. */
  #view = 0;
  #toldTotal = 0;
  #toldShared = false;
  /** An OPEN was refused: the hub waits for SLOTS, whatever they say. */
  #owesSlots = false;
  /** The most that was ever offered. */
  #offered = 0;
  #refusals = 0;
  /** No new streams: we or the hub go away when what runs is done. */
  #leaving = false;
  #parting: Farewell = LEAVING;

  constructor(options: AgentSessionOptions, wire: Wire) {
    super(options, wire);
    this.#options = options;
    this.#scratch = new RequestHead(options.limits.fieldCount);
  }

  /** Says HELLO. */
  start(hello: Omit<Hello, 'slots'>): void {
    const { slots } = this.#options;
    this.#view = slots.surplus;
    this.#toldTotal = this.#offered = slots.total;
    this.out.whole(HELLO, 0, 0, writeHello({ ...hello, slots: { total: slots.total, free: this.#view } }));
  }

  get inFlight(): number {
    return this.streams.size;
  }

  /** Takes nothing new; says goodbye when what runs is done. */
  leave(): void {
    if (this.#leaving) return;
    this.#close();
    if (this.state === 'hello') {
      this.end(LEAVING);
      return;
    }
    if (this.state !== 'open') return;
    this.out.whole(GOAWAY, 0, 0, writeFarewell(LEAVING));
    this.loop.turn.later(this);
  }

  /** Ends at once: running requests are cancelled. */
  cut(): void {
    this.end(LEAVING);
  }

  slotsChanged(): void {
    if (!this.#isTold()) this.loop.turn.later(this.out);
  }

  /** Does the hub reckon with what is true? */
  #isTold(): boolean {
    const share = this.#share;
    if (share === null) return this.#view === 0 && !this.#owesSlots;
    return share.near(this.#view) && this.#options.slots.total === this.#toldTotal && share.shared === this.#toldShared && !this.#owesSlots;
  }

  /** Nothing new is taken here. */
  #close(): void {
    this.#leaving = true;
    const share = this.#share;
    this.#share = null;
    share?.leave();
  }

  release(): boolean {
    this.#options.slots.release();
    const share = this.#share;
    if (share === null || share.level <= this.#view) return false;
    this.#view++;
    return true;
  }

  untold(): void {
    this.#view--;
    this.loop.turn.later(this.out);
  }

  // --- frames

  protected override special(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): boolean {
    if (this.state === 'hello') return type === WELCOME && id === 0 && this.#welcome(bytes, start, end);
    switch (type) {
      case OPEN:
        return this.#open(flags, id, bytes, start, end);
      case CANCEL: {
        const stream = this.streams.get(id);
        if (stream === undefined) this.unknown(type, id);
        else stream.cancel();
        return true;
      }
      case WAITING:
        this.#share?.waits(readU32(bytes, start), readU32(bytes, start + 4));
        return id === 0;
      default:
        return false;
    }
  }

  #welcome(bytes: Buffer, start: number, end: number): boolean {
    const welcome = readWelcome(bytes, start, end);
    if (welcome === null) return false;
    this.state = 'open';
    this.sinceMs = this.loop.clock.now();
    this.ping(this.sinceMs);
    if (!this.#leaving) this.#share = this.#options.slots.join(this);
    this.#options.joined(welcome);
    return true;
  }

  #open(flags: number, id: number, bytes: Buffer, start: number, end: number): boolean {
    if (id !== this.lastId + 1) return false;
    this.lastId = id;
    this.#view--;
    if (this.#leaving || this.streams.size >= this.limits.streams || !this.#options.slots.take(this.#share)) {
      this.#refuse(id, flags);
      return true;
    }
    const head = this.#scratch;
    const outcome = readOpen(head, flags, bytes, start, end, this.headLimits);
    if (outcome !== true) {
      const mine = this.release();
      if (outcome === false) {
        this.strayOf(flags);
        this.#reject(id, mine ? F_RELEASED : 0, head.problem ?? 'bad_request', head.problemDetail);
      } else this.violated('lengths that do not fit their frame');
      return true;
    }
    const notes = new Notes(this.loop.sweeper.coarse);
    const leftMs = readU32(bytes, start);
    if (leftMs > 0) notes.dueMs = this.loop.clock.now() + leftMs;
    notes.onAbort = readOnAbort(bytes, start);
    if (asksForTimes(bytes, start)) {
      notes.times = new AgentTimes();
      notes.times.openedMs = this.loop.clock.now();
    }
    const stream = new AgentStream(this, id, head, notes);
    this.streams.add(stream);
    const bodyAt = head.end;
    try {
      stream.attach(this.#options.handler.open(head, stream, notes));
    } catch (error) {
      this.log.error({ error }, 'tunnel: a handler threw');
      stream.neverOpened();
      return true;
    }
    if (stream.gone) return true;
    if (bodyAt < end && !stream.arrived(bytes, bodyAt, end)) return true;
    if (ends(flags) && !stream.gone) stream.arrivedEnd(flags, undefined);
    return true;
  }

  /** Nothing of it reached the upstream. */
  #refuse(id: number, flags: number): void {
    this.strayOf(flags);
    this.out.empty(REFUSED, 0, id);
    this.#owesSlots = true;
    this.#refusals++;
    // A hub with an old level may be wrong by as many slots as it was ever offered, several times a second; one that goes on is not looking.
    if (this.#refusals > Math.max(this.limits.refusalsPerSecond, REFUSALS_PER_SLOT * this.#offered)) this.violated('streams opened without a slot');
  }

  /** RESET for a stream that never was. */
  #reject(id: number, flags: number, code: string, text: string): void {
    const detail = plainText(text, this.limits.detailLength);
    const slab = this.out.reserve(HEADER_BYTES + 2 + code.length + 4 * detail.length);
    const from = slab.at;
    const { bytes } = slab;
    const length = 2 + code.length + bytes.write(detail, from + HEADER_BYTES + 2 + code.length, 'utf8');
    const at = writeHeader(bytes, from, length, RESET, flags, id);
    bytes[at] = 0;
    bytes[at + 1] = code.length;
    bytes.latin1Write(code, at + 2);
    this.out.commit(at + length);
  }

  protected override flagged(): void {}

  protected override goneAway(farewell: Farewell): void {
    this.#close();
    this.#parting = { code: 'drained', reason: 'what ran is done', retryAfterMs: farewell.retryAfterMs };
    this.loop.turn.later(this);
  }

  override forget(stream: Stream, strayBytes: number): void {
    super.forget(stream, strayBytes);
    if (this.#leaving && this.streams.size === 0 && this.state === 'open') this.loop.turn.later(this);
  }

  /** The moment to say goodbye, when there is nothing left to say before it. */
  flush(): void {
    if (this.state !== 'open' || !this.#leaving || this.streams.size > 0) return;
    this.out.flush();
    if (this.out.batchBytes === 0) this.end(this.#parting);
  }

  /** SLOTS, when the hub would reckon with a number that is not true. */
  override beforeFlush(): void {
    if (this.state !== 'open' || this.#isTold()) return;
    const share = this.#share;
    const { total } = this.#options.slots;
    const free = share === null ? 0 : share.level;
    this.#view = free;
    this.#toldTotal = total;
    this.#owesSlots = false;
    this.#toldShared = share !== null && share.shared;
    if (total > this.#offered) this.#offered = total;
    const slab = this.out.reserve(HEADER_BYTES + 12);
    let at = writeHeader(slab.bytes, slab.at, 12, SLOTS, this.#toldShared ? F_SHARED : 0, 0);
    at = writeU32(slab.bytes, at, total);
    at = writeU32(slab.bytes, at, free);
    this.out.commit(writeU32(slab.bytes, at, this.lastId));
  }

  override handed(): void {
    if (this.#leaving && this.streams.size === 0 && this.state === 'open') this.loop.turn.later(this);
  }

  protected override ticked(): void {
    this.#refusals = 0;
  }

  protected override overdueChanged(): void {
    if (this.#share !== null) this.#share.overdue = this.overdue;
  }

  protected override over(reason: string, farewell: Farewell | null): void {
    this.#close();
    this.#options.over(reason, farewell);
  }

  protected override peerName(): string {
    return this.#options.hub;
  }
}

/** OPENs refused within a second, per slot offered, before the hub is given up (measured: an honest hub whose clients all come at once was over 2). */
const REFUSALS_PER_SLOT = 10;
const LEAVING: Farewell = { code: 'leaving', reason: 'the agent is going away', retryAfterMs: 0 };
