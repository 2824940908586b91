// HOT: one Exchange per request.
import type { Timed } from '../std/sweeper.ts';
import type { Notes, ReplySink, RequestSink, Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { grpcTimeoutMs, grpcTimeoutText } from '../http/grpc.ts';
import { type HeaderList, type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../http/head.ts';
import { IDEMPOTENT } from '../http/methods.ts';
import { X_REQUEST_ID } from '../http/names.ts';
import type { Flow } from '../upstream/fair-class.ts';
import { type Label, PLAIN } from '../upstream/label.ts';
import type { Waiter, WaitingLine } from '../upstream/queue.ts';
import type { Candidate, Captures, Upstream } from '../upstream/upstream.ts';
import { Attempt, type Reclaimable } from './attempt.ts';
import type { Proxy } from './handle.ts';
import type { Anteroom } from './anteroom.ts';
import type { Entry } from './journal.ts';
import { GRPC_TIMEOUT_MAX_MS, PLUGIN_MS, REDISPATCHES } from './limits.ts';
import type { Load, Location, Match } from './location.ts';
import { HeldBody } from './held-body.ts';
import type { PluginExchange, Reply } from './plugin.ts';
import type { PluginRun } from './plugin-run.ts';
import type { RequestFront } from './request-front.ts';
import { rescue, type Wish, wishOf } from './rescue.ts';
import { serverTiming } from './server-timing.ts';
import type { Site } from './site.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** One request and its answer inside the core: the sink of its body, and whatever it takes until somebody answers it. */
export class Exchange implements RequestSink, Waiter, Timed {
  readonly #proxy: Proxy;
  readonly site: Site;
  readonly location: Location;
  captures: Captures;
  /** Set before it waits or goes anywhere. */
  upstream: Upstream | null = null;
  /** The client's; behind the plugins of its location, where there are any. */
  reply: ReplySink;
  /** Null: its location has no plugins. */
  run: PluginRun | null = null;
  /** Null: no plugin of its location changes bodies of requests. */
  front: RequestFront | null = null;
  readonly notes: Notes;
  #writer: Writer | null = null;
  #sink: RequestSink | null = null;
  #attempt: Attempt | null = null;
  headSent = false;
  #over = false;
  #redispatches = 0;
  #wish: Wish;
  readonly #requestId: string;
  /** Its line in the journal; null when none is kept. */
  readonly entry: Entry | null;

  // While it waits.
  label: Label = PLAIN;
  aged = 0;
  paid = false;
  readonly arrival: number;
  head: RequestHead | null = null;
  line: WaitingLine | null = null;
  flow: Flow | null = null;
  before: Waiter | null = null;
  behind: Waiter | null = null;
  #held: HeldBody | null = null;
  #trailers: HeaderList | undefined = undefined;
  #waitingSinceMs = 0;
  /** When its patience ends, monotonic ms; 0 = it has not waited. */
  #patienceDue = 0;
  /** Where it waits to come inside; null when it does not. */
  #outside: Anteroom | null = null;
  /** Whom to tell that it has left the inside. */
  inside: Anteroom | null = null;
  /** It counts among the requests of its location that run. */
  load: Load | null = null;
  /** It waits for a plugin. */
  #paused = false;
  /** Bytes of its body that may still come, where the location bounds them and its length was not told. */
  #bodyLeft = NEVER;
  /** When its stream must have ended, monotonic ms: what a gRPC client says. */
  #endDue = NEVER;
  due = NEVER;
  place = -1;
  /** Its client has left, and a plugin wants the answer all the same; and: nothing more comes from the client's side. */
  #outlives = false;
  #isLeft = false;

  constructor(
    proxy: Proxy,
    site: Site,
    match: Match<Location> | null,
    head: RequestHead,
    reply: ReplySink,
    notes: Notes,
    entry: Entry | null,
    arrival: number,
  ) {
    this.#proxy = proxy;
    this.site = site;
    const location = match === null ? site.nowhere : match.value;
    this.location = location;
    this.captures = match === null ? null : match.captures;
    this.reply = reply;
    this.notes = notes;
    this.arrival = arrival;
    this.#wish = wishOf(head);
    this.#requestId = site.pages.showsRequestId ? head.value(X_REQUEST_ID) : '';
    this.entry = entry;
    if (location.bodyBytes > 0 && head.length === UNKNOWN_LENGTH && head.upgrade === '') this.#bodyLeft = location.bodyBytes;
    if (location.timeoutMs > 0) notes.dueMs = notes.startMs + location.timeoutMs;
  }

  get writer(): Writer | null {
    return this.#writer;
  }

  set writer(writer: Writer | null) {
    this.#writer = writer;
    if (this.#sink !== null) this.#sink.writer = writer;
  }

  get isGrpc(): boolean {
    return this.#wish === 'grpc';
  }

  /** A plugin has made a request of gRPC of it. @returns why it is not served */
  becomeGrpc(head: RequestHead): Failure | null {
    this.#wish = 'grpc';
    return this.obeyClient(head);
  }

  /**
   * Takes the time-out that a gRPC client gives for everything: waiting, connecting, the head of the answer, and the stream to its end.
   * @returns why it is not served
   */
  obeyClient(head: RequestHead): Failure | null {
    const ms = grpcTimeoutMs(head);
    if (ms === null) return null;
    // To ignore it would make a request without an end of one that has an end.
    if (Number.isNaN(ms)) return new Failure('bad_request', 'grpc-timeout is not a number of at most 8 digits and H, M, S, m, u or n');
    const { notes } = this;
    this.#endDue = notes.startMs + Math.min(ms, GRPC_TIMEOUT_MAX_MS);
    if (notes.dueMs === 0 || this.#endDue < notes.dueMs) notes.dueMs = this.#endDue;
    return ms > 0 ? null : new Failure('deadline', 'its time was over when it came');
  }

  /** Is the deadline that counts the client's own? When it passes, nobody over there is to blame. */
  get isHasty(): boolean {
    return this.notes.dueMs === this.#endDue;
  }

  /** Is it answered, or has its client left? */
  get isOver(): boolean {
    return this.#over;
  }

  /** Waits for a plugin, its body read up to a bound. */
  pause(head: RequestHead): void {
    this.#paused = true;
    this.#hold(head);
    this.run!.moved(this.head!);
    this.#dueAt(Math.min(this.#timeoutDue(), this.#waitingSinceMs + PLUGIN_MS));
    if (this.#held!.isPeeked) this.#readForPeeks(this.head!);
  }

  /** The plugins are done with it. */
  resume(): void {
    this.#paused = false;
    this.due = this.#timeoutDue();
    const head = this.head!;
    if (!this.#isBlocked) this.#proxy.enter(this, head);
    else
      this.#look(() => {
        if (!this.#over) this.#proxy.enter(this, head);
      });
  }

  /** The first bytes of the body, at most so many; fewer when the body is shorter or memory bounds it. */
  peek(bytes: number): Promise<Uint8Array> {
    if (this.run!.request.head.bodiless || this.#over || this.#sink !== null) return Promise.resolve(new Uint8Array(0));
    const start = this.#holding().peek(Math.min(bytes, this.site.waitingBytes));
    if (this.#paused) this.#readForPeeks(this.head!);
    return start;
  }

  #readForPeeks(head: RequestHead): void {
    if (!head.expectContinue) return;
    head.expectContinue = false;
    this.reply.informational(ResponseHead.make(100, [], -1));
  }

  /** Answers with what a plugin says. */
  answer(reply: Reply | Failure): void {
    if (reply instanceof Failure) {
      this.fail(reply);
      return;
    }
    this.#over = true;
    this.#paused = false;
    this.#forgetBody();
    this.head = null;
    try {
      this.run!.answer(reply);
    } catch (error) {
      // A field that is none, a status that is none.
      this.site.defect(error);
      this.fail(new Failure('internal', 'a plugin answered with what is no answer'));
    }
  }

  /** An answer of ours stands in the place of theirs: whoever is at work on it may stop. */
  dismiss(failure: Failure): void {
    if (this.#attempt === null || !this.#attempt.live) return;
    this.#attempt.giveUp(null);
    this.#sink?.abort(failure);
  }

  /** @returns false when there is no upstream of that name */
  useUpstream(name: string): boolean {
    const other = this.site.upstream(name);
    if (other === null) return false;
    this.upstream = other;
    this.#held?.moveTo(other.queueRoom);
    return true;
  }

  /** What has come of the body, to be held again in another form; null when nothing is held. */
  takeHeld(): Pick<HeldBody, 'chunks' | 'isComplete' | 'isBlocked'> | null {
    return this.#held?.give() ?? null;
  }

  keepHead(head: RequestHead): RequestHead {
    return this.#proxy.keep(head);
  }

  giveBackHead(copy: RequestHead): void {
    this.#proxy.giveBack(copy);
  }

  /** Sends the request to whoever can take it, or lets it wait, or says why neither. */
  proceed(head: RequestHead): void {
    const upstream = this.upstream!;
    if (this.notes.dueMs > 0 && this.due === NEVER) this.#dueAt(this.#timeoutDue());
    const candidate = upstream.pick(head, undefined, this.captures);
    if (candidate !== null) this.#dispatch(candidate, head);
    else this.#wait(head, upstream);
  }

  /** Into the queue, at its place by arrival. Who comes back there keeps its deadline. */
  #wait(head: RequestHead, upstream: Upstream): void {
    if (this.#patienceDue === 0) {
      const patienceMs = this.location.patienceMs(head, upstream);
      if (patienceMs <= 0) {
        this.fail(upstream.lacking(head, this.captures));
        return;
      }
      this.#patienceDue = this.site.loop.clock.now() + patienceMs;
    }
    this.#hold(head);
    const full = upstream.wait(this);
    if (full !== null) this.fail(full);
    else this.#dueAt(Math.min(this.#timeoutDue(), this.#patienceDue));
  }

  /** Waits for room inside, its body unread. */
  waitOutside(head: RequestHead, anteroom: Anteroom): void {
    this.#outside = anteroom;
    this.#hold(head);
    this.#dueAt(Math.min(this.#timeoutDue(), this.#waitingSinceMs + anteroom.waitMs));
  }

  /** There is room inside now. */
  enter(): void {
    this.inside = this.#outside;
    this.#outside = null;
    this.#waited();
    const head = this.head!;
    if (!this.#isBlocked) this.proceed(head);
    else
      this.#look(() => {
        if (!this.#over) this.proceed(head);
      });
  }

  #hold(head: RequestHead): void {
    this.head = this.head === head ? head : this.#proxy.keep(head);
    this.#waitingSinceMs = this.site.loop.clock.now();
    this.#holding();
  }

  #holding(): HeldBody {
    return (this.#held ??= new HeldBody(this.site.queueRoom, this.upstream?.queueRoom));
  }

  get #isBlocked(): boolean {
    return this.#held?.isBlocked === true;
  }

  #timeoutDue(): number {
    const { dueMs } = this.notes;
    return dueMs > 0 ? dueMs : NEVER;
  }

  #dueAt(due: number): void {
    this.due = due;
    this.site.loop.sweeper.add(this);
  }

  granted(candidate: Candidate): boolean {
    const head = this.head!;
    if (!this.#isBlocked) {
      this.#waited();
      this.#dispatch(candidate, head);
      return true;
    }
    // Its socket has been paused, so a client that left has not been noticed: the slot is kept while it is read for a turn.
    this.#look(() => {
      const upstream = this.upstream!;
      if (this.#over) {
        upstream.letGo(candidate, false);
        return;
      }
      this.#waited();
      if (upstream.letGo(candidate, true)) this.#dispatch(candidate, head);
      else this.proceed(head);
    });
    return false;
  }

  /** Reads on for a moment, so that a departure is heard: one turn until reading has begun, one for what is left of the body, one for the FIN behind it. */
  #look(then: () => void): void {
    this.#held!.isBlocked = false;
    this.#writer?.drained();
    setImmediate(() => setImmediate(() => setImmediate(then)));
  }

  #waited(): void {
    this.notes.waitedMs += this.site.loop.clock.now() - this.#waitingSinceMs;
    this.due = this.#timeoutDue();
  }

  #dispatch(candidate: Candidate, head: RequestHead): void {
    const { notes } = this;
    const attempt = new Attempt(this, candidate);
    this.#attempt = attempt;
    notes.attempts++;
    notes.dispatchedMs = this.site.loop.clock.now();
    notes.endpoint = candidate.endpoint.id;
    notes.agent = candidate.agentId;
    notes.began = 'no';
    notes.onAbort = this.upstream!.onAbort ?? null;
    this.location.edits?.applyLate?.(head, this.captures, notes);
    // What is left of it.
    if (this.#endDue !== NEVER) head.set('grpc-timeout', grpcTimeoutText(this.#endDue - notes.dispatchedMs));
    if (head.expectContinue) this.reply.informational(ResponseHead.make(100, [], -1));
    attempt.sending(head);
    if (this.upstream!.keepsHeads && this.head === null) this.head = head.keep();
    let sink: RequestSink;
    try {
      sink = candidate.endpoint.open(head, attempt, notes);
    } catch (error) {
      // A defect of ours costs this request, and nobody else's.
      attempt.live = false;
      attempt.settled();
      this.site.defect(error);
      this.fail(new Failure('internal', 'the proxy failed while it sent the request on'));
      return;
    }
    this.#sink = sink;
    sink.writer = this.#writer;
    const held = this.#held;
    if (held === null) return;
    if (!this.upstream!.keepsHeads && this.head !== null) {
      this.#proxy.giveBack(this.head);
      this.head = null;
    }
    const { chunks, isComplete, isBlocked } = held;
    this.#forgetBody();
    let room = true;
    for (const chunk of chunks) room = sink.write(chunk);
    if (isComplete) sink.end(this.#trailers);
    else if (isBlocked && room) this.#writer?.drained();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#bodyLeft !== NEVER && this.#isTooLarge(chunk.length)) return true;
    if (this.#sink !== null) return this.#sink.write(chunk);
    if (this.#over) return true;
    const held = this.#held!;
    if (!held.push(chunk)) {
      this.#leaveLine();
      const fullStatus = this.upstream?.queueRoom?.fullStatus;
      this.fail(new Failure('queue_full', 'the bodies of waiting requests fill the memory that they may use', 1, fullStatus));
      return true;
    }
    const goesOn = this.#outside === null && held.bytes < this.site.waitingBytes;
    if (!goesOn) held.isBlocked = true;
    held.tellPeeks(false);
    return goesOn;
  }

  /** A body whose length was not told grows beyond what the location takes: it ends here. */
  #isTooLarge(bytes: number): boolean {
    if (this.#over) return false;
    this.#bodyLeft -= bytes;
    if (this.#bodyLeft >= 0) return false;
    this.giveUp(new Failure('body_too_large', `the body has more than ${this.location.bodyBytes} bytes`));
    return true;
  }

  /** Tells whoever is at work on it to stop, and answers with the failure, or cuts the answer that has begun. */
  giveUp(failure: Failure): void {
    if (this.#over) return;
    this.#leaveLine();
    const attempt = this.#attempt;
    if (attempt !== null) {
      attempt.giveUp(null);
      this.#sink!.abort(failure);
    }
    if (this.headSent) {
      this.notes.failure = failure;
      this.#over = true;
      this.reply.abort(failure);
    } else this.fail(failure);
  }

  end(sent?: HeaderList): void {
    const trailers = sent === undefined || this.run === null ? sent : this.run.request.withoutDecided(sent);
    this.#trailers = trailers;
    if (this.#sink !== null) this.#sink.end(trailers);
    else if (this.#held !== null) {
      this.#held.isComplete = true;
      this.#held.tellPeeks(true);
    }
  }

  /** The client left, or its request turned out bad. */
  abort(failure: Failure): void {
    if (this.#over) return;
    if (this.#attempt !== null && this.run?.outlives() === true) {
      this.#outlives = true;
      return;
    }
    this.#over = true;
    this.#leaveLine();
    if (this.#attempt !== null) {
      this.#attempt.giveUp(null);
      this.#sink!.abort(failure);
    }
  }

  settled(): void {
    if (this.#outlives && this.#attempt?.live === true) {
      this.#isLeft = true;
      return;
    }
    this.#over = true;
    this.#leaveLine();
    this.#forgetBody();
    this.site.loop.sweeper.remove(this);
    this.#sink?.settled();
    this.#proxy.finished(this);
  }

  #forgetBody(): void {
    this.#held?.forget();
    this.#held = null;
  }

  #leaveLine(): void {
    if (this.line === null && this.#outside === null) return;
    this.notes.waitedMs += this.site.loop.clock.now() - this.#waitingSinceMs;
    if (this.line !== null) this.upstream!.leave(this);
    this.#outside?.leave(this);
    this.#outside = null;
  }

  expired(): void {
    this.due = NEVER;
    if (this.#over) return;
    const { notes } = this;
    const nowMs = this.site.loop.clock.now();
    const late = notes.dueMs > 0 && nowMs >= notes.dueMs;
    if (this.headSent) this.#expiredBehindHead(nowMs);
    else if (this.#outside !== null || this.line !== null) {
      this.#leaveLine();
      const waited = `no slot became free within ${Math.round(notes.waitedMs)} ms`;
      this.fail(late ? new Failure('deadline', waited, 1) : new Failure('queue_timeout', waited, 1));
    } else if (this.#paused) {
      // Who sends the body so slowly that a plugin waits for it is to blame himself.
      const slow =
        this.#held?.isPeeked === true ? new Failure('request_timeout', 'the body is too slow') : new Failure('internal', 'a plugin took too long');
      this.fail(late ? this.#noAnswer() : slow);
    } else if (this.#attempt !== null) {
      const failure = this.#noAnswer();
      this.#attempt.giveUp(this.isHasty ? null : failure);
      this.#sink!.abort(failure);
      this.fail(failure);
    }
  }

  #noAnswer(): Failure {
    return new Failure('deadline', `no answer within ${Math.round(this.notes.dueMs - this.notes.startMs)} ms`);
  }

  /** Only what a gRPC client says is a deadline for the stream, too. */
  #expiredBehindHead(nowMs: number): void {
    if (nowMs < this.#endDue) this.due = this.#endDue;
    else if (this.#attempt?.live === true)
      this.giveUp(new Failure('deadline', `the stream did not end within ${Math.round(this.#endDue - this.notes.startMs)} ms`));
  }

  /** Nothing more comes from an upstream: then an exchange whose client has left is over. */
  attemptEnded(): void {
    if (!this.#isLeft) return;
    this.#isLeft = false;
    this.#attempt = null;
    this.settled();
  }

  repeat(prepare: (again: PluginExchange) => void): void {
    this.#proxy.repeat(this, prepare);
  }

  /** An attempt failed: try again where that is safe, else say so. */
  attemptFailed(failure: Failure): void {
    this.#attempt = null;
    if (this.headSent) {
      this.notes.failure = failure;
      this.#over = true;
      this.reply.abort(failure);
      this.attemptEnded();
      return;
    }
    if (!this.#outlives && failure.retry !== 'no' && this.#tryAgain(failure)) return;
    this.fail(failure);
  }

  /**
   * Rule R1: what provably never began may be sent again whatever its method, the rest only when it is idempotent and wholly kept. A request that
   * was refused goes back to its place in the queue, which is no try; others get one more, elsewhere, while the budget lasts.
   */
  #tryAgain(failure: Failure): boolean {
    const { notes } = this;
    const sink = this.#sink as (RequestSink & Partial<Reclaimable>) | null;
    const kept = sink?.reclaim?.() ?? null;
    const head = kept?.head ?? this.head;
    if (kept === null || head === null) return false;
    const refused = failure.code === 'refused' || failure.code === 'tunnel_lost_unsent';
    if (refused) {
      if (this.#redispatches++ >= REDISPATCHES) return false;
    } else {
      if (notes.attempts >= this.location.attempts || this.#isPastRetryWindow()) return false;
      if (failure.retry === 'safe' && !(IDEMPOTENT.has(head.method) && kept.complete)) return false;
    }
    // Whoever failed is not asked again. A refused request takes its place in the queue; one whose agent is gone may wait if it was ready to.
    const upstream = this.upstream!;
    const other = refused ? null : upstream.pick(head, notes.endpoint, this.captures);
    if (!refused && other === null && !(failure.code === 'tunnel_lost' && this.location.patienceMs(head, upstream) > 0)) return false;
    if (!refused && !this.#proxy.mayRetry()) {
      this.#noteTry('no_budget');
      return false;
    }
    this.site.metrics.redispatches.value++;
    this.#noteTry(failure.code);
    notes.failure = null;
    this.#sink = null;
    sink!.settled();
    if (refused) notes.attempts--;
    this.head = head;
    this.#holding().take(kept.body, kept.complete);
    if (other !== null) this.#dispatch(other, head);
    else this.proceed(head);
    return true;
  }

  #noteTry(outcome: string): void {
    const { notes } = this;
    notes.tries = `${notes.tries}${notes.tries === '' ? '' : ','}${notes.endpoint}:${outcome}`;
  }

  #isPastRetryWindow(): boolean {
    const { retryWindowMs } = this.location;
    return retryWindowMs > 0 && this.site.loop.clock.now() > this.notes.startMs + retryWindowMs;
  }

  /** Answers with a failure. */
  fail(failure: Failure): void {
    this.#over = true;
    this.#paused = false;
    this.#attempt = null;
    this.#forgetBody();
    this.head = null;
    this.notes.failure = failure;
    const extra = this.location.tellsTiming ? serverTiming(this.notes, this.site.loop.clock.now()) : '';
    rescue(failure, this.reply, { wish: this.#wish, pages: this.site.pages, requestId: this.#requestId, entry: this.entry, extra });
    this.attemptEnded();
  }
}
