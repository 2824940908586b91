import { Buffer } from 'node:buffer';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Loop } from '../../std/loop.ts';
import { ChunkedDecoder } from '../../http/chunked.ts';
import { type Handler, Notes, type RequestSink, type Writer } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import { makePeer, RequestHead, UNKNOWN_LENGTH } from '../../http/head.ts';
import { type HttpLimits, httpLimits } from '../../http/limits.ts';
import { INCOMPLETE, parseRequest, REFUSED } from '../../http/parse.ts';
import type { SlotLedger } from '../native/slots.ts';
import { type AnswerOwner, DialAnswer } from './dial-answer.ts';
import { ACCEPT, slimeLimits, SUBMIT } from './limits.ts';
import { UNREAD } from './problem.ts';

/** What workers need of the connection that they belong to. */
export interface DialWorkerOwner {
  readonly loop: Loop;
  readonly slots: SlotLedger;
  readonly handler: Handler;
  /** A POST to the hub. @throws RangeError when the token cannot stand in a field */
  post(path: string, agentId: string, fields: Readonly<Record<string, string>>, isFresh: boolean): ClientRequest;
  /** May this worker ask for work now? */
  mayPoll(worker: DialWorker): boolean;
  /** The hub could not be asked, or said no. */
  failed(status: number, reason: string): void;
  /** It has nothing to do any more. */
  idle(worker: DialWorker): void;
}

/** What a hub may send as a request: what native sessions take. */
const LIMITS: HttpLimits = { ...httpLimits, headBytes: 64 * 1024 - 1, fieldCount: 160 };
const PEER = makePeer('', 0, 0, 'http', false);
/** A hub that drops polls at once so often is not just restarting. */
const QUICK_DROPS = 10;
const QUICK_MS = 1_000;

/** One worker of an agent: asks for work, has it done, brings the answer, asks again. Never two at once. */
export class DialWorker implements AnswerOwner {
  readonly loop: Loop;
  readonly agentId: string;
  /** Its number over all hubs: what decides whether its slot is still offered. */
  readonly number: number;
  readonly #owner: DialWorkerOwner;
  readonly #head = new RequestHead(LIMITS.fieldCount);
  #poll: ClientRequest | null = null;
  /** A poll that was taken back, and may bring work for a moment still. */
  #leaving: ClientRequest | null = null;
  #timer: NodeJS.Timeout | null = null;
  #answer: DialAnswer | null = null;
  /** It holds a slot. */
  #holds = false;
  /** The request, as far as its body still comes. */
  #incoming: Incoming | null = null;
  #quickDrops = 0;

  constructor(owner: DialWorkerOwner, number: number, agentId: string) {
    this.#owner = owner;
    this.loop = owner.loop;
    this.number = number;
    this.agentId = agentId;
  }

  get isBusy(): boolean {
    return this.#answer !== null || this.#incoming !== null || this.#leaving !== null;
  }

  get isPolling(): boolean {
    return this.#poll !== null;
  }

  get bufferedBytes(): number {
    return this.#answer?.bufferedBytes ?? 0;
  }

  /** Asks for work, if it may and has none; takes back what it asked, if it may not. */
  adjust(): void {
    const may = this.#owner.mayPoll(this);
    if (may && this.#poll === null && this.#timer === null && !this.isBusy) this.#ask();
    else if (!may) this.withdraw();
  }

  withdraw(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const poll = this.#poll;
    this.#poll = null;
    if (poll === null) return;
    const { socket } = poll;
    if (socket === null || socket.connecting) {
      poll.destroy();
      return;
    }
    // FIN and no more: a hub that is about to answer the poll would have its application wait for ever. What is on its way already is still done.
    this.#leaving = poll;
    const timer = setTimeout(() => poll.destroy(), slimeLimits.withdrawMs);
    poll.once('response', () => clearTimeout(timer));
    poll.once('close', () => {
      clearTimeout(timer);
      if (this.#leaving !== poll) return;
      this.#leaving = null;
      this.#owner.idle(this);
      this.adjust();
    });
    socket.end();
  }

  /** Cuts everything. */
  destroy(): void {
    this.withdraw();
    this.#leaving?.destroy();
    this.#incoming?.cut();
    this.#answer?.cut();
  }

  #ask(): void {
    let poll: ClientRequest;
    try {
      poll = this.#owner.post(ACCEPT, this.agentId, { 'Content-Length': '0' }, false);
    } catch (error) {
      this.#owner.failed(0, (error as Error).message);
      return;
    }
    this.#poll = poll;
    const sinceMs = this.loop.clock.now();
    let isConnected = false;
    poll.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => (isConnected = true));
      else isConnected = true;
    });
    poll.on('response', (response) => {
      if (this.#poll === poll) this.#poll = null;
      else if (this.#leaving === poll) this.#leaving = null;
      else {
        response.resume();
        return;
      }
      this.#answered(response);
    });
    poll.on('error', (error) => {
      if (this.#poll !== poll) return;
      this.#poll = null;
      if (!isConnected) this.#owner.failed(0, error.message);
      else this.#dropped(sinceMs);
    });
    poll.end();
  }

  #answered(response: IncomingMessage): void {
    const id = response.headers['slime-connection-id'];
    if (response.statusCode === 200 && typeof id === 'string' && /^-?\d{1,19}$/.test(id)) {
      this.#quickDrops = 0;
      this.#incoming = new Incoming(this, response, id);
      return;
    }
    response.resume();
    if (response.statusCode === 200) this.#dropped(0);
    else this.#owner.failed(response.statusCode ?? 0, `it answered ${response.statusCode}`);
  }

  /** The hub has dropped the poll: it is asked again at once, unless it does that all the time. */
  #dropped(sinceMs: number): void {
    this.#quickDrops = this.loop.clock.now() - sinceMs < QUICK_MS ? this.#quickDrops + 1 : 0;
    if (this.#quickDrops > QUICK_DROPS) {
      this.#quickDrops = 0;
      this.#owner.failed(0, 'it drops those who ask for work');
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.adjust();
    }, slimeLimits.redialMs);
  }

  /** @internal The head of a request has come. @returns where its body goes */
  open(connectionId: string, bytes: Buffer): { readonly at: number; readonly sink: RequestSink; readonly length: number } | null {
    const head = this.#head;
    const at = parseRequest(head, bytes, 0, bytes.length, LIMITS);
    if (at === INCOMPLETE) return null;
    if (at === REFUSED) {
      this.#refuse(connectionId, new Failure(head.problem ?? 'bad_request', head.problemDetail));
      return { at: bytes.length, sink: UNREAD, length: -1 };
    }
    // What the wire cannot carry.
    head.upgrade = '';
    head.trailers = false;
    head.peer = PEER;
    const { length, bodiless } = head;
    if (!this.#owner.slots.take(null)) {
      this.#refuse(connectionId, new Failure('no_free_slot', 'the agent has no free slot', 1));
      return { at, sink: UNREAD, length: bodiless ? 0 : length };
    }
    this.#holds = true;
    const answer = new DialAnswer(this, connectionId, head.method === 'HEAD');
    this.#answer = answer;
    let sink: RequestSink;
    try {
      sink = this.#owner.handler.open(head, answer, new Notes(this.loop.clock.now()));
    } catch {
      sink = UNREAD;
      answer.abort(new Failure('internal', 'the agent failed'));
      answer.settled();
    }
    answer.attach(sink);
    return { at, sink, length: bodiless ? 0 : length };
  }

  #refuse(connectionId: string, failure: Failure): void {
    const answer = new DialAnswer(this, connectionId, false);
    this.#answer = answer;
    answer.abort(failure);
    answer.settled();
    answer.attach(UNREAD);
  }

  /** @internal All of the request is here, or nothing more of it will be. */
  read(): void {
    this.#incoming = null;
    this.#next();
  }

  submit(connectionId: string, isFresh: boolean): ClientRequest {
    return this.#owner.post(SUBMIT, this.agentId, { 'Slime-Connection-Id': connectionId, 'Transfer-Encoding': 'chunked' }, isFresh);
  }

  released(): void {
    if (!this.#holds) return;
    this.#holds = false;
    this.#owner.slots.release();
  }

  done(answer: DialAnswer): void {
    if (this.#answer !== answer) return;
    this.#answer = null;
    // Nobody reads the rest of the request.
    this.#incoming?.leave();
    this.#incoming = null;
    this.#next();
  }

  #next(): void {
    if (this.isBusy) return;
    this.adjust();
    if (!this.isPolling) this.#owner.idle(this);
  }
}

/** A request on its way in: the body of what a poll was answered with. */
class Incoming implements Writer {
  readonly #worker: DialWorker;
  readonly #response: IncomingMessage;
  readonly #connectionId: string;
  #head: Buffer = Buffer.alloc(0);
  #sink: RequestSink | null = null;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;
  #over = false;

  constructor(worker: DialWorker, response: IncomingMessage, connectionId: string) {
    this.#worker = worker;
    this.#response = response;
    this.#connectionId = connectionId;
    response.on('data', (chunk: Buffer) => this.#received(chunk));
    response.on('end', () => this.#ended());
    response.on('close', () => this.#ended());
    response.on('error', () => {});
  }

  #received(chunk: Buffer): void {
    if (this.#over) return;
    // Node gives each piece memory that nobody else writes to.
    this.#worker.loop.reads.private = true;
    if (this.#sink !== null) {
      this.#body(chunk, 0);
      return;
    }
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const bytes = this.#head;
    const opened = this.#worker.open(this.#connectionId, bytes);
    if (opened === null) return;
    this.#head = EMPTY;
    const { sink, length, at } = opened;
    this.#sink = sink;
    if (sink !== UNREAD) sink.writer = this;
    if (length === UNKNOWN_LENGTH) this.#decoder = new ChunkedDecoder(LIMITS);
    else this.#remaining = Math.max(0, length);
    if (this.#decoder === null && this.#remaining === 0) this.#finish(undefined);
    else this.#body(bytes, at);
  }

  #body(bytes: Buffer, from: number): void {
    const sink = this.#sink!;
    if (this.#decoder !== null) {
      this.#decoder.feed(bytes, from, bytes.length, sink);
      if (this.#decoder.problem !== '') this.cut();
      else if (this.#decoder.done) this.#finish(this.#decoder.trailers);
      else if (this.#decoder.blocked) this.#response.pause();
      return;
    }
    const n = Math.min(this.#remaining, bytes.length - from);
    if (n === 0) return;
    this.#remaining -= n;
    const goesOn = sink.write(bytes.subarray(from, from + n));
    if (this.#remaining === 0) this.#finish(undefined);
    else if (!goesOn && !this.#over) this.#response.pause();
  }

  /** Complete. What may stand behind it is read so that the connection can be used again. */
  #finish(trailers: readonly string[] | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#response.resume();
    this.#sink!.end(trailers);
    this.#worker.read();
  }

  #ended(): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink?.abort(new Failure('client_gone', 'the hub broke off the request'));
    this.#worker.read();
  }

  /** Nothing more of it is wanted. */
  cut(): void {
    this.#response.destroy();
    this.#ended();
  }

  /** Who would take more of it has finished. */
  leave(): void {
    this.#over = true;
    this.#response.destroy();
  }

  drained(): void {
    if (!this.#over) this.#response.resume();
  }
}

const EMPTY = Buffer.alloc(0);
