// HOT: open() and the frames of answers run per exchange.
import type { Buffer } from 'node:buffer';
import type { Notes, ReplySink, RequestSink } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { type RequestHead, ResponseHead } from '../../http/head.ts';
import { Refusal } from '../../http/refusal.ts';
import type { Wire } from '../../std/wire.ts';
import type { AgentIdentity, Session, SessionOwner, WireAbilities } from '../session.ts';
import {
  F_END,
  F_RELEASED,
  F_SHARED,
  GOAWAY,
  HEAD,
  HEADER_BYTES,
  HELLO,
  INFO,
  OPEN_FIXED,
  readU32,
  REFUSED,
  RESET,
  SLOTS,
  WAITING,
  WELCOME,
  writeHeader,
  writeU32,
} from './frames.ts';
import { type Farewell, type Hello, readHello, type Sibling, writeFarewell, writeWelcome } from './hello.ts';
import { HubStream, type HubStreamOwner } from './hub-stream.ts';
import { Link, type LinkOptions } from './link.ts';
import { openFieldBytes, openFlags, openRoom, writeOpen } from './open.ts';
import { END_SENT } from './output.ts';

/** Everything HTTP/1.1 has. */
const ABILITIES: WireAbilities = { upgrade: true, trailers: true, informational: true, cancel: true };

/** How a hub session is born: who it is, and who takes it. */
export interface HubSessionOptions extends LinkOptions {
  readonly hubId: string;
  /** Other hubs that the agent is told of. */
  readonly siblings: readonly Sibling[];
  readonly sessionId: string;
  readonly address: string;
  /** Makes the agent's identity of what it says and what its token proves. @returns why that is refused, as a whole, when it says more than its token allows */
  identify(hello: Hello): AgentIdentity | string;
  /** The handshake is over. Returns why the session is not taken, or null. */
  joined(session: Session): Failure | null;
}

/** One connected agent, as its hub sees it. */
export class HubSession extends Link<HubStream> implements Session, HubStreamOwner {
  readonly abilities: WireAbilities = ABILITIES;
  owner: SessionOwner | null = null;
  agent: AgentIdentity;
  closeFailure: Failure | null = null;
  lossReason = '';
  readonly #options: HubSessionOptions;
  #scratch: ResponseHead | null = null;
  #total = 0;
  /** Free slots by the agent's last word and the RELEASED flags since. */
  #free = 0;
  /** The last OPEN that this word knew of. */
  #seen = 0;
  /** The agent refused an OPEN: it gets no other before its next word. */
  #refused = false;
  /** The agent has other hubs as well. */
  shared = false;
  /** How many wait and since when, as the agent reckons: by our last WAITING and the OPENs since. */
  #toldWaiting = 0;
  #toldSinceMs = 0;
  #draining = false;
  #freeChanged = false;
  /** Streams whose OPEN stands in the batch. */
  #unsent: HubStream[] = [];

  constructor(options: HubSessionOptions, wire: Wire) {
    super(options, wire);
    this.#options = options;
    this.agent = NOBODY;
  }

  get id(): string {
    return this.agent.id;
  }

  get scratch(): ResponseHead {
    return (this.#scratch ??= new ResponseHead(this.limits.fieldCount));
  }

  get free(): number {
    if (this.state !== 'open' || this.#draining || this.overdue || this.#refused || this.out.blocked) return 0;
    return Math.max(0, this.#free - (this.lastId - this.#seen));
  }

  get slots(): number {
    return this.#total;
  }

  get inFlight(): number {
    return this.streams.size;
  }

  /** Opens a stream. The reply hears `refused` when there is no room for it. */
  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    notes.agent = notes.address = this.agent.id;
    notes.began = 'no';
    if (this.state !== 'open' || this.lastId === 0xffff_ffff)
      return new Refusal(this.loop.turn, reply, new Failure('tunnel_lost_unsent', 'the session is over'));
    const { out } = this;
    const slab = out.reserve(openRoom(head));
    const from = slab.at;
    const id = this.lastId + 1;
    const flags = openFlags(head);
    const leftMs = notes.dueMs === 0 ? 0 : Math.max(1, Math.ceil(notes.dueMs - this.loop.clock.now()));
    const asksTimes = notes.times !== null;
    const end = writeOpen(head, flags, id, leftMs, notes.onAbort, asksTimes, slab.bytes, from);
    if (end - from - openFieldBytes(notes.onAbort, asksTimes) > HEADER_BYTES + OPEN_FIXED + this.limits.headBytes)
      return new Refusal(this.loop.turn, reply, new Failure('head_too_large', 'the head is too large for the tunnel'));
    this.lastId = id;
    if (this.#toldWaiting > 0) this.#reckonServed();
    const stream = new HubStream(this, id, head, reply, notes, slab.bytes, from);
    out.commitFrame(stream, from, end, (flags & F_END) === 0 ? this.limits.inlineBytes : 0);
    out.retain(stream);
    if ((flags & F_END) !== 0) stream.ending = END_SENT;
    this.streams.add(stream);
    this.#unsent.push(stream);
    return stream;
  }

  /** WAITING, when the agent reckons with something else. Who calls it keeps it from being called all the time. */
  tellWaiting(count: number, sinceMs: number, urgent = true): boolean {
    if (this.state !== 'open' || !this.shared) return true;
    // What it reckons with is not right, but somebody waits and it knows that.
    if (!urgent && count > 0 && this.#toldWaiting > 0) return false;
    if (count === this.#toldWaiting) {
      if (count === 0) return true;
      // The agent guesses the age of those behind the one that was served: right for an even stream, and put right when it is far off.
      const age = this.loop.clock.now() - sinceMs;
      if (Math.abs(sinceMs - this.#toldSinceMs) <= Math.max(AGE_SLACK_MS, age / 4)) return true;
    }
    this.#toldWaiting = count;
    this.#toldSinceMs = sinceMs;
    const slab = this.out.reserve(HEADER_BYTES + 8);
    let at = writeHeader(slab.bytes, slab.at, 8, WAITING, 0, 0);
    at = writeU32(slab.bytes, at, count);
    this.out.commit(writeU32(slab.bytes, at, count === 0 ? 0 : Math.min(MAX_U32, Math.max(0, Math.round(this.loop.clock.now() - sinceMs)))));
    return true;
  }

  /** As the agent does at an OPEN: the oldest waiter has its slot, the next one is younger by its part. */
  #reckonServed(): void {
    const now = this.loop.clock.now();
    this.#toldSinceMs = now - ((now - this.#toldSinceMs) * (this.#toldWaiting - 1)) / this.#toldWaiting;
    this.#toldWaiting--;
  }

  /** Asks the agent to leave when what runs here is done. */
  drain(): void {
    if (this.#draining || this.state !== 'open') return;
    this.#draining = true;
    this.out.whole(GOAWAY, 0, 0, writeFarewell({ code: 'draining', reason: 'the hub is going away', retryAfterMs: 0 }));
  }

  close(failure: Failure): void {
    // That its token is good no more is between the agent and the hub: no client is told 401 for it.
    this.closeFailure = failure.code === 'unauthorized' ? new Failure('tunnel_lost', `the agent was sent away: ${failure.detail}`) : failure;
    this.end({ code: failure.code, reason: failure.detail, retryAfterMs: failure.retryAfterS * 1_000 });
  }

  // --- frames

  protected override special(type: number, flags: number, id: number, bytes: Buffer, start: number, end: number): boolean {
    if (this.state === 'hello') return type === HELLO && id === 0 && this.#hello(bytes, start, end);
    switch (type) {
      case HEAD: {
        this.flagged(flags);
        const stream = this.streams.get(id);
        if (stream === undefined) this.unknown(type, id);
        else if (stream.remoteEnded) return false;
        else stream.head(flags, bytes, start, end);
        return true;
      }
      case INFO: {
        const stream = this.streams.get(id);
        if (stream === undefined) this.unknown(type, id);
        else if (stream.remoteEnded) return false;
        else stream.info(bytes, start, end);
        return true;
      }
      case RESET: {
        this.flagged(flags);
        const stream = this.streams.get(id);
        if (stream === undefined) this.unknown(type, id);
        else stream.reset(bytes, start, end);
        return true;
      }
      case REFUSED: {
        const stream = this.streams.get(id);
        this.#refused = true;
        if (stream === undefined) this.unknown(type, id);
        else stream.refused();
        return true;
      }
      case SLOTS:
        return id === 0 && this.#slots(flags, readU32(bytes, start), readU32(bytes, start + 4), readU32(bytes, start + 8));
      default:
        return false;
    }
  }

  #hello(bytes: Buffer, start: number, end: number): boolean {
    const hello = readHello(bytes, start, end, this.limits);
    if (typeof hello === 'string') {
      this.log.warn({ peer: this.#options.address, reason: hello }, 'tunnel: an agent was turned away');
      this.end({ code: 'bad_hello', reason: hello, retryAfterMs: 60_000 });
      return true;
    }
    const agent = this.#options.identify(hello);
    if (typeof agent === 'string') {
      this.log.warn({ peer: this.#options.address, agent: hello.agent, reason: agent }, 'tunnel: an agent was turned away');
      this.end({ code: 'forbidden', reason: agent, retryAfterMs: 60_000 });
      return true;
    }
    this.agent = agent;
    this.#total = hello.slots.total;
    this.#free = hello.slots.free;
    this.state = 'open';
    this.sinceMs = this.loop.clock.now();
    this.out.whole(
      WELCOME,
      0,
      0,
      writeWelcome({ version: 1, hub: this.#options.hubId, session: this.#options.sessionId, siblings: this.#options.siblings }),
    );
    this.ping(this.sinceMs);
    const failure = this.#options.joined(this);
    if (failure !== null) this.out.flush();
    if (failure !== null) this.close(failure);
    return true;
  }

  #slots(flags: number, total: number, free: number, seen: number): boolean {
    if (free > total || total > this.limits.slotCount || seen > this.lastId || seen < this.#seen) return false;
    // A slot that was granted and not used has moved on, and what we said of our waiters does not count any more: say it again.
    if (this.#toldWaiting > 0 && free - (this.lastId - seen) < this.#free - (this.lastId - this.#seen)) this.#toldWaiting = UNKNOWN;
    this.#total = total;
    this.#free = free;
    this.#seen = seen;
    // REFUSED is followed by SLOTS that know of it; older ones are in order before it.
    this.#refused = false;
    const shared = (flags & F_SHARED) !== 0;
    if (shared !== this.shared) {
      this.shared = shared;
      this.#toldWaiting = 0;
    }
    this.#freeChanged = true;
    return true;
  }

  protected override flagged(flags: number): void {
    if ((flags & F_RELEASED) === 0) return;
    // Never more than it has: what the hub may send is bounded by the total, whatever an agent claims.
    if (this.#free - (this.lastId - this.#seen) < this.#total) this.#free++;
    this.#freeChanged = true;
  }

  protected override delivered(): void {
    if (!this.#freeChanged) return;
    this.#freeChanged = false;
    this.#tellOwner();
  }

  protected override overdueChanged(): void {
    if (this.overdue) this.log.warn({ agent: this.agent.id }, 'tunnel: the agent is silent and gets no new work');
    this.#tellOwner();
  }

  #tellOwner(): void {
    try {
      if (this.state === 'open') this.owner?.changed(this);
    } catch (error) {
      this.threw(undefined, error);
    }
  }

  protected override goneAway(): void {
    this.#draining = true;
    this.#tellOwner();
  }

  override beforeFlush(): void {}

  override handed(): void {
    const unsent = this.#unsent;
    if (unsent.length === 0) return;
    for (let i = 0; i < unsent.length; i++) unsent[i]!.handed();
    unsent.length = 0;
  }

  override drained(): void {
    super.drained();
    // `free` was 0 while the socket was full.
    this.#tellOwner();
  }

  protected override ticked(now: number): void {
    for (const stream of this.streams.values()) stream.ticked(now);
  }

  protected override lose(reason: string, farewell: Farewell | null): void {
    this.lossReason = reason;
    super.lose(reason, farewell);
  }

  protected override over(reason: string): void {
    this.#unsent.length = 0;
    if (this.agent === NOBODY) {
      this.log.debug({ peer: this.#options.address, reason }, 'tunnel: a connection ended before its handshake was over');
      return;
    }
    this.owner?.lost(this, reason);
  }

  protected override peerName(): string {
    return this.agent === NOBODY ? this.#options.address : this.agent.id;
  }
}

/** What the agent believes is not known. */
const UNKNOWN = -1;
const MAX_U32 = 0xffff_ffff;
/** An age that is this much off does no harm, ms. */
const AGE_SLACK_MS = 50;

const NOBODY: AgentIdentity = {
  id: '',
  instance: '',
  tokenId: '',
  name: '',
  scopes: [],
  scopePaths: [],
  expiresMs: 0,
  labels: new Map(),
  hardware: null,
  address: '',
};
