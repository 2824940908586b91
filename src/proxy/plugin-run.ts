// HOT: one PluginRun per request of a location with plugins.
import { Buffer } from 'node:buffer';
import { type BodySink, PluginTimes, type ReplySink, type Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import type { FieldLines } from '../http/field-lines.ts';
import { trailersOnly } from '../http/grpc.ts';
import { type HeaderList, NO_BODY, type RequestHead, ResponseHead, UNKNOWN_LENGTH } from '../http/head.ts';
import { labelled } from '../upstream/label.ts';
import type { Place } from '../upstream/upstream.ts';
import { AUTHORIZATION } from '../http/names.ts';
import type { Exchange } from './exchange.ts';
import { grpcReply } from './grpc-reply.ts';
import type { BodyOut, BodySource, PluginExchange, PluginNotes, QueueLabel, Reply, Slot, Verdict } from './plugin.ts';
import type { PluginChain } from './plugin-chain.ts';
import { RequestView, ResponseView } from './plugin-views.ts';
import { failureOf, TransformSink } from './transform-sink.ts';

/** What the phases before an endpoint is chosen came to. */
export type Outcome = 'go' | 'answered' | 'waits';

/** The way of one exchange through the plugins of its location: what they see of it, and the sink that every answer to it passes, whoever gives it. */
export class PluginRun implements PluginExchange, ReplySink {
  readonly #chain: PluginChain;
  readonly #exchange: Exchange;
  /** The client's. */
  readonly #reply: ReplySink;
  readonly request: RequestView;
  response: ResponseView | null = null;
  /** Plugins whose request phase has run, from the first: only those see the answer. */
  #entered = 0;
  /** By name: two packages that say the same name mean the same place. */
  #slots: Map<string, unknown> | null = null;
  #writer: Writer | null = null;
  /** Where the answer's body goes: the first transformer, or the client. */
  #body: BodySink;
  #links: TransformSink[] | null = null;
  #source: BodySource | null = null;
  /** A copy of the head for the phases after the request has gone. */
  #copy: RequestHead | null = null;
  #isBroken = false;
  #isOver = false;
  #informed: PluginNotes | null = null;
  hadAuthorization: boolean;
  /** Whose request phase runs or waits. */
  #at = 0;
  /** Who makes the request once more: those before it have nothing to do with it. -1: a client makes it. */
  readonly #first: number;
  #isWanted: (() => boolean) | null = null;
  /** Answered by a plugin instead: what still comes is dropped. */
  #isReplaced = false;

  constructor(chain: PluginChain, exchange: Exchange, head: RequestHead, reply: ReplySink, first = -1) {
    this.#first = first;
    this.hadAuthorization = head.has(AUTHORIZATION);
    this.#chain = chain;
    this.#exchange = exchange;
    this.#reply = reply;
    this.#body = reply;
    this.request = new RequestView(head, exchange);
    for (const plugin of chain.plugins) plugin.enter();
  }

  /** Runs the phases before an endpoint is chosen. When one of them makes a promise, `go` or nothing is called later; the head is the exchange's by then. */
  begin(go: () => void): Outcome {
    const { request } = this.#chain;
    let from = 0;
    while (from < request.length && request[from]! <= this.#first) from++;
    return this.#steps(from, go);
  }

  #steps(from: number, go: () => void): Outcome {
    const { request, upstream, plugins } = this.#chain;
    const count = request.length + upstream.length;
    for (let step = from; step < count; step++) {
      const isRequest = step < request.length;
      const place = isRequest ? request[step]! : upstream[step - request.length]!;
      const hosted = plugins[place]!;
      let verdict: Verdict | Promise<Verdict>;
      this.#at = place;
      try {
        verdict = isRequest ? hosted.plugin.request!(this) : hosted.plugin.upstream!(this);
      } catch (error) {
        this.#entered = isRequest ? place : plugins.length;
        hosted.failed(error);
        this.#exchange.fail(new Failure('internal', `plugin ${hosted.name} failed`));
        return 'answered';
      }
      if (verdict === undefined) continue;
      if (isPromise(verdict)) {
        this.#await(Promise.resolve(verdict), step, place, go);
        return 'waits';
      }
      this.#entered = isRequest ? place + 1 : plugins.length;
      this.#exchange.answer(verdict);
      return 'answered';
    }
    this.#entered = plugins.length;
    this.#keepHead();
    return 'go';
  }

  #await(verdict: Promise<Verdict>, step: number, place: number, go: () => void): void {
    const isRequest = step < this.#chain.request.length;
    const hosted = this.#chain.plugins[place]!;
    const { notes, site } = this.#exchange;
    const { clock } = site.loop;
    const times = notes.plugins;
    if (times !== null) times.names += `, ${hosted.name}`;
    const waited = (notes.plugins ??= new PluginTimes(clock.now(), hosted.name));
    verdict.then(
      (reply) => {
        if (this.#exchange.isOver) {
          this.#unwanted(reply);
          return;
        }
        waited.toMs = clock.now();
        if (reply === undefined) {
          if (this.#steps(step + 1, go) === 'go') go();
          return;
        }
        this.#entered = isRequest ? place + 1 : this.#chain.plugins.length;
        this.#exchange.answer(reply);
      },
      (error: unknown) => {
        hosted.failed(error);
        if (this.#exchange.isOver) return;
        waited.toMs = clock.now();
        this.#entered = isRequest ? place : this.#chain.plugins.length;
        this.#exchange.fail(new Failure('internal', `plugin ${hosted.name} failed`));
      },
    );
  }

  /** An answer that comes when nobody waits for it any more may hold something open, such as a file. */
  #unwanted(reply: Verdict): void {
    if (reply === undefined || reply instanceof Failure) return;
    this.#dropSource();
    this.#source = sourceOf(reply);
    this.#dropSource();
  }

  /** The head of a request that waits for a plugin is a copy from now on. */
  moved(head: RequestHead): void {
    this.request.head = head;
  }

  /** Heads are scratch, and the later phases want to read what was asked. */
  #keepHead(): void {
    const { response, log } = this.#chain;
    if (response.length === 0 && log.length === 0) return;
    this.#copy = this.#exchange.keepHead(this.request.head);
    this.request.head = this.#copy;
  }

  /** The same request once more, for nobody. */
  again(exchange: Exchange, head: RequestHead, reply: ReplySink): PluginRun {
    const run = new PluginRun(this.#chain, exchange, head, reply, this.#at);
    run.hadAuthorization = this.hadAuthorization;
    if (this.#slots !== null) run.#slots = new Map(this.#slots);
    return run;
  }

  repeat(prepare: (again: PluginExchange) => void): void {
    this.#exchange.repeat(prepare);
  }

  outliveClient(isWanted: () => boolean): void {
    // Half of a body is no request.
    if (this.request.length === 0) this.#isWanted = isWanted;
  }

  /** The client has left: is the answer wanted all the same? Then nobody slows it down any more. */
  outlives(): boolean {
    if (this.#isWanted === null || !this.#isWanted()) return false;
    if (this.#links !== null) this.#reply.writer?.drained();
    return true;
  }

  /** Answers with a plugin's own reply. */
  answer(reply: Reply): void {
    // From here on it is given up whatever happens.
    this.#dropSource();
    this.#source = sourceOf(reply);
    if (!Number.isInteger(reply.status) || reply.status < 200 || reply.status > 599) throw new RangeError(`not a status: ${String(reply.status)}`);
    const { status, headers = [], lines, body = null } = this.#exchange.isGrpc ? grpcReply(reply) : reply;
    if (body === null) this.#dropSource();
    const bytes = bytesOf(body);
    const source = this.#source;
    const length =
      bytes !== null ? bytes.length : source === null ? (status === 204 || status === 304 ? NO_BODY : 0) : (source.length ?? UNKNOWN_LENGTH);
    const isHead = this.request.method === 'HEAD';
    this.head(headOf(status, headers, lines, length));
    if (this.#isBroken || isHead) this.#dropSource();
    if (this.#isBroken) return;
    if (source === null || isHead) {
      if (bytes !== null && bytes.length > 0 && !isHead) this.write(bytes);
      this.end();
      return;
    }
    this.writer = { drained: () => this.#ask(() => source.drained()) };
    const out: BodyOut = {
      write: (chunk) => {
        // The source may fill the same memory again: who holds the chunk must copy it.
        this.#exchange.site.loop.reads.private = false;
        return this.write(chunk);
      },
      end: (trailers) => {
        this.#source = null;
        this.end(trailers);
      },
      abort: (reason) => {
        this.#source = null;
        this.abort(failureOf(reason));
      },
    };
    this.#ask(() => source.start(out));
  }

  /** Has the source of an answer do something. When it fails there, what has been sent of the answer is cut. */
  #ask(what: () => void): void {
    if (this.#source === null) return;
    try {
      what();
    } catch (error) {
      const exchange = this.#exchange;
      exchange.site.defect(error);
      this.#dropSource();
      exchange.notes.failure = new Failure('internal', 'a plugin failed while it answered');
      this.abort(exchange.notes.failure);
    }
  }

  /** Nobody wants the rest of what a plugin answers with. */
  #dropSource(): void {
    const source = this.#source;
    this.#source = null;
    try {
      source?.abort();
    } catch (error) {
      this.#exchange.site.defect(error);
    }
  }

  // The way of the answer.

  get writer(): Writer | null {
    return this.#writer;
  }

  set writer(writer: Writer | null) {
    this.#writer = writer;
    this.#body.writer = writer;
  }

  informational(head: ResponseHead): void {
    this.#reply.informational(head);
  }

  head(head: ResponseHead): void {
    const { response, plugins } = this.#chain;
    const view = new ResponseView(head, this.request.method === 'HEAD');
    this.response = view;
    let replaced: Uint8Array | null = null;
    for (let i = 0; i < response.length; i++) {
      const place = response[i]!;
      if (place >= this.#entered || place < this.#first) continue;
      const hosted = plugins[place]!;
      try {
        hosted.plugin.response!(this);
      } catch (error) {
        hosted.failed(error);
        this.#break(new Failure('internal', `plugin ${hosted.name} failed`));
        return;
      }
      if (view.replacement !== null) {
        const { status, headers = [], lines, body = null } = this.#exchange.isGrpc ? grpcReply(view.replacement) : view.replacement;
        replaced = bytesOf(body) ?? NOTHING;
        view.instead(headOf(status, headers, lines, status === 204 || status === 304 ? NO_BODY : replaced.length));
      }
    }
    const { transformers } = view;
    if (transformers.length > 0 && view.head.status !== 101) {
      let next: BodySink = this.#reply;
      this.#links = [];
      // Who asked first stands nearest to where the body comes from.
      for (let i = transformers.length - 1; i >= 0; i--) {
        const link = new TransformSink(transformers[i]!, next, this.#exchange.site.loop.reads, (error) => this.#exchange.site.defect(error));
        this.#links.push(link);
        next = link;
      }
      this.#body = next;
      next.writer = this.#writer;
    }
    this.#send(view.head);
    if (replaced === null) return;
    if (replaced.length > 0 && !view.bodiless) this.#body.write(replaced);
    this.#isReplaced = true;
    this.#body.end();
    // What came in the same read has passed by then, and its connection is good; nobody waits for more.
    setImmediate(() => this.#exchange.dismiss(new Failure('client_gone', 'another answer was given in its place')));
  }

  /** A response phase failed before the head was out: what the client gets must not be what the plugin was there to change. */
  #break(failure: Failure): void {
    this.#isBroken = true;
    const exchange = this.#exchange;
    exchange.notes.failure = failure;
    // They hold memory, or a thread of zlib's, and no body will come.
    for (const transformer of this.response!.transformers) {
      try {
        transformer.close?.();
      } catch (error) {
        exchange.site.defect(error);
      }
    }
    if (exchange.isGrpc) this.#send(trailersOnly(failure));
    else this.#breakWithPage(failure);
    this.#reply.end();
    // Not from inside its own call.
    setImmediate(() => exchange.dismiss(failure));
  }

  #breakWithPage(failure: Failure): void {
    const body = Buffer.from(
      `${JSON.stringify({ type: 'about:blank', title: 'Internal Server Error', status: 500, code: failure.code, detail: failure.detail })}\n`,
    );
    this.#send(ResponseHead.make(500, ['Content-Type', 'application/problem+json', 'Cache-Control', 'no-store'], body.length));
    this.#reply.write(body);
  }

  /** What the log says of the head is what the client gets. */
  #send(head: ResponseHead): void {
    this.#exchange.entry?.passed(head);
    this.#reply.head(head);
  }

  write(chunk: Uint8Array): boolean {
    return this.#isBroken || this.#isReplaced ? true : this.#body.write(chunk);
  }

  end(trailers?: HeaderList): void {
    if (!this.#isBroken && !this.#isReplaced) this.#body.end(trailers);
  }

  abort(failure: Failure): void {
    if (!this.#isBroken && !this.#isReplaced) this.#body.abort(failure);
  }

  settled(): void {}

  /** Everything is over: the log phases run, and what is held is given back. Once. */
  finished(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#dropSource();
    if (this.#links !== null) for (const link of this.#links) link.close();
    const { log, plugins } = this.#chain;
    for (const place of log) {
      const hosted = plugins[place]!;
      // Of those before, a request made once more has met only who is asked on the way to the upstream.
      if (place < this.#first && (hosted.plugin.request !== undefined || hosted.plugin.upstream === undefined)) continue;
      try {
        hosted.plugin.log!(this);
      } catch (error) {
        hosted.failed(error);
      }
    }
    for (const plugin of plugins) plugin.leave();
    if (this.#copy !== null) this.#exchange.giveBackHead(this.#copy);
  }

  // What plugins see.

  get client(): string {
    return this.request.head.client;
  }

  get location(): string {
    return this.#exchange.location.name;
  }

  capture(name: string): string {
    return this.#exchange.captures?.get(name) ?? '';
  }

  becomeGrpc(): Failure | undefined {
    const { head } = this.request;
    head.trailers = true;
    return this.#exchange.becomeGrpc(head) ?? undefined;
  }

  setCapture(name: string, value: string): void {
    const exchange = this.#exchange;
    // Captures are never changed once they are made.
    exchange.captures = new Map(exchange.captures ?? []).set(name, value);
  }

  note(name: string, value: string | number): void {
    const { notes } = this.#exchange;
    (notes.noted ??= new Map()).set(name, value);
  }

  get<T>(slot: Slot<T>): T | undefined {
    return this.#slots?.get(slot.name) as T | undefined;
  }

  set<T>(slot: Slot<T>, value: T): void {
    this.#slots ??= new Map();
    this.#slots.set(slot.name, value);
  }

  useUpstream(name: string): boolean {
    return this.#exchange.useUpstream(name);
  }

  get upstream(): string {
    return this.#exchange.upstream?.name ?? '';
  }

  label(label: QueueLabel): Required<QueueLabel> {
    return (this.#exchange.label = labelled(this.#exchange.label, label));
  }

  get place(): Place | null {
    const exchange = this.#exchange;
    return exchange.line === null ? null : (exchange.upstream!.placeOf?.(exchange) ?? null);
  }

  inform(headers: HeaderList): void {
    if (!this.#exchange.isOver && this.response === null) this.#reply.informational(ResponseHead.make(102, headers, NO_BODY));
  }

  get notes(): PluginNotes {
    return (this.#informed ??= new NotesView(this.#exchange));
  }
}

const NOTHING = new Uint8Array(0);

function bytesOf(body: Reply['body']): Uint8Array | null {
  return typeof body === 'string' ? Buffer.from(body, 'utf8') : body instanceof Uint8Array ? body : null;
}

/** The body that is not there all at once; null when it is, or when there is none. */
function sourceOf({ body }: Reply): BodySource | null {
  return body === undefined || typeof body === 'string' || body instanceof Uint8Array ? null : body;
}

function headOf(status: number, headers: HeaderList, lines: FieldLines | undefined, length: number): ResponseHead {
  const head = ResponseHead.make(status, headers, length);
  if (lines !== undefined) head.tail += lines.text;
  return head;
}

/** Promises of other makers count, too. */
function isPromise(verdict: Reply | PromiseLike<Verdict>): verdict is PromiseLike<Verdict> {
  return typeof (verdict as Partial<PromiseLike<Verdict>>).then === 'function';
}

class NotesView implements PluginNotes {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get startMs(): number {
    return this.#exchange.notes.startMs;
  }

  get firstByteMs(): number {
    return this.#exchange.notes.firstByteMs;
  }

  get status(): number {
    const { status, failure } = this.#exchange.notes;
    return failure !== null && (status === 0 || failure.status === 499) ? failure.status : status;
  }

  get requestBytes(): number {
    return this.#exchange.notes.requestBytes;
  }

  get replyBytes(): number {
    return this.#exchange.notes.replyBytes;
  }

  get endpoint(): string {
    return this.#exchange.notes.endpoint;
  }

  get agent(): string {
    return this.#exchange.notes.agent;
  }

  get attempts(): number {
    return this.#exchange.notes.attempts;
  }

  get waitedMs(): number {
    return this.#exchange.notes.waitedMs;
  }

  get failure(): string {
    return this.#exchange.notes.failure?.code ?? '';
  }
}
