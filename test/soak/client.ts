import net from 'node:net';
import type { Hub } from './hub.ts';
import { fieldOf, MessageReader, type MessageUser } from './message-reader.ts';
import { Check, slice } from './pattern.ts';
import { targetOf, type Wanted } from './request.ts';

/** What became of one sending of a request. */
export type Outcome =
  /** Complete and right. */
  | { readonly kind: 'right' }
  /** The client left, as it had planned. */
  | { readonly kind: 'left' }
  /** A complete answer that is a failure, with its code. */
  | { readonly kind: 'failure'; readonly status: number; readonly code: string }
  /** The connection ended within the answer. */
  | { readonly kind: 'cut'; readonly heard: number }
  /** The connection ended before any byte of an answer. `sent`: something of the request had left on it. */
  | { readonly kind: 'dropped'; readonly sent: boolean; readonly reused: boolean }
  /** Complete, and not what it should be. */
  | { readonly kind: 'wrong'; readonly why: string };

/** When a client leaves of its own accord. */
export interface Departure {
  /** `time`: ms after sending; `upload`, `download`: share of the body. */
  readonly phase: 'time' | 'upload' | 'download';
  readonly at: number;
}

const PIECE_BYTES = 30_011;

/** A client's lasting connections to one hub. */
export class Client {
  readonly hub: Hub;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();

  constructor(hub: Hub) {
    this.hub = hub;
  }

  /** Sends a request; `done` is called exactly once. */
  send(wanted: Wanted, departure: Departure | null, done: (outcome: Outcome) => void): void {
    let connection = this.#idle.pop();
    while (connection !== undefined && !connection.usable) connection = this.#idle.pop();
    if (connection === undefined) {
      connection = new Connection(this.hub.port, (one, usable) => {
        if (usable) this.#idle.push(one);
        else this.#all.delete(one);
      });
      this.#all.add(connection);
    }
    connection.send(wanted, departure, done);
  }

  get connections(): number {
    return this.#all.size;
  }

  close(): void {
    for (const connection of this.#all) connection.destroy();
  }
}

class Connection implements MessageUser {
  readonly #socket: net.Socket;
  readonly #reader = new MessageReader(this);
  readonly #free: (connection: Connection, usable: boolean) => void;
  #connected = false;
  #ended = false;
  #served = 0;
  #wanted: Wanted | null = null;
  #departure: Departure | null = null;
  #done: ((outcome: Outcome) => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #check: Check | null = null;
  #status = 0;
  #idEcho = '';
  #page = '';
  #close = false;
  #uploaded = true;

  constructor(port: number, free: (connection: Connection, usable: boolean) => void) {
    this.#free = free;
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    socket.on('connect', () => {
      this.#connected = true;
    });
    socket.on('data', (bytes: Buffer) => {
      if (this.#wanted === null) this.#socket.destroy();
      else this.#reader.feed(bytes);
    });
    socket.on('end', () => {
      this.#ended = true;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#lost();
      this.#free(this, false);
    });
  }

  get usable(): boolean {
    return !this.#ended && !this.#socket.destroyed;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  send(wanted: Wanted, departure: Departure | null, done: (outcome: Outcome) => void): void {
    this.#wanted = wanted;
    this.#departure = departure;
    this.#done = done;
    this.#check = null;
    this.#status = 0;
    this.#page = '';
    const { method, upBytes, upFrom, id } = wanted;
    const hasBody = method === 'POST' || method === 'PUT';
    const chunked = hasBody && id % 3 === 0;
    const framing = !hasBody ? '' : chunked ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${upBytes}\r\n`;
    const head = `${method} ${targetOf(wanted)} HTTP/1.1\r\nHost: app.example\r\n${framing}\r\n`;
    if (departure?.phase === 'time') this.#timer = setTimeout(() => this.#leave(), departure.at);
    this.#uploaded = true;
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    if (hasBody) {
      this.#uploaded = false;
      const stop = departure?.phase === 'upload' ? Math.floor(departure.at * upBytes) : Infinity;
      this.#upload(wanted, slice(upFrom, upBytes), 0, chunked, stop);
    }
    this.#socket.uncork();
  }

  #upload(wanted: Wanted, body: Buffer, from: number, chunked: boolean, stop: number): void {
    for (let at = from; at < body.length;) {
      if (this.#wanted !== wanted || this.#socket.destroyed) return;
      if (at >= stop) {
        setImmediate(() => {
          if (this.#wanted === wanted) this.#leave();
        });
        return;
      }
      const end = Math.min(body.length, at + PIECE_BYTES);
      if (chunked) this.#socket.write(`${(end - at).toString(16)}\r\n`, 'latin1');
      let room = this.#socket.write(body.subarray(at, end));
      if (chunked) room = this.#socket.write('\r\n');
      at = end;
      if (!room && at < body.length) {
        this.#socket.once('drain', () => this.#upload(wanted, body, at, chunked, stop));
        return;
      }
    }
    if (this.#wanted !== wanted) return;
    if (chunked) this.#socket.write('0\r\n\r\n');
    this.#uploaded = true;
  }

  #leave(): void {
    this.#finish({ kind: 'left' });
    this.#socket.destroy();
  }

  head(text: string): boolean {
    const wanted = this.#wanted;
    if (wanted === null) {
      // It has left, or these are bytes that nobody asked for.
      this.#socket.destroy();
      return false;
    }
    this.#status = Number(text.slice(9, 12));
    const lower = text.toLowerCase();
    this.#idEcho = fieldOf(lower, 'x-id');
    this.#close = fieldOf(lower, 'connection') === 'close';
    this.#check = new Check(wanted.from, wanted.bytes);
    return wanted.method !== 'HEAD';
  }

  body(bytes: Buffer): void {
    if (this.#wanted === null) return;
    if (this.#status !== 200) {
      if (this.#page.length < 2_000) this.#page += bytes.toString('latin1');
      return;
    }
    const check = this.#check!;
    check.take(bytes);
    const departure = this.#departure;
    if (departure?.phase === 'download' && check.heard >= departure.at * this.#wanted!.bytes && check.heard < this.#wanted!.bytes) this.#leave();
  }

  end(): void {
    const wanted = this.#wanted;
    if (wanted === null) return;
    const { id, method, bytes } = wanted;
    const check = this.#check!;
    let outcome: Outcome = { kind: 'right' };
    if (this.#status !== 200)
      outcome = { kind: 'failure', status: this.#status, code: /"code":"(\w+)"/.exec(this.#page)?.[1] ?? this.#page.slice(0, 80) };
    else if (this.#idEcho !== String(id)) outcome = { kind: 'wrong', why: `the answer to ${this.#idEcho}` };
    else if (method !== 'HEAD' && !check.right)
      outcome = { kind: 'wrong', why: check.wrong ? 'other bytes than were sent' : `looked complete after ${check.heard} of ${bytes} bytes` };
    this.#served++;
    const usable = this.#uploaded && !this.#close && this.usable;
    this.#finish(outcome);
    if (usable) this.#free(this, true);
    else this.#socket.destroy();
  }

  broken(reason: string): void {
    this.#finish({ kind: 'wrong', why: reason });
    this.#socket.destroy();
  }

  #lost(): void {
    if (this.#wanted === null) return;
    if (this.#status !== 0 || !this.#reader.between) this.#finish({ kind: 'cut', heard: this.#check?.heard ?? 0 });
    else this.#finish({ kind: 'dropped', sent: this.#connected, reused: this.#served > 0 });
  }

  #finish(outcome: Outcome): void {
    const done = this.#done;
    if (done === null) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#wanted = null;
    this.#done = null;
    done(outcome);
  }
}
