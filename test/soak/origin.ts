import { once } from 'node:events';
import net from 'node:net';
import { MessageReader, type MessageUser } from './message-reader.ts';
import { Check, slice } from './pattern.ts';
import { type Wanted, wantedOf } from './request.ts';

/** Who follows what origins see. */
export interface OriginUser {
  arrived(origin: Origin, wanted: Wanted): void;
  /** Nothing of the request runs any more. `finAtMs`: when it was hung up on, 0 when it was not. */
  ended(origin: Origin, wanted: Wanted, finAtMs: number): void;
  defect(text: string): void;
}

/** Pieces of answers that are not sent by length, bytes at most. */
const PIECE_BYTES = 40 * 1024;
const EVENTS = 4;

/** The service behind one agent. It knows exactly how many requests it has at once: from the arrival of a head to the last byte of the answer, or until it has stopped after it was hung up on. */
export class Origin {
  readonly name: string;
  readonly slots: number;
  readonly user: OriginUser;
  readonly #server: net.Server;
  readonly #connections = new Set<OriginConnection>();
  running = 0;
  /** The most at once since it was last asked. */
  most = 0;
  served = 0;
  port = 0;

  constructor(name: string, slots: number, user: OriginUser) {
    this.name = name;
    this.slots = slots;
    this.user = user;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const connection = new OriginConnection(this, socket);
      this.#connections.add(connection);
      socket.on('close', () => this.#connections.delete(connection));
    });
  }

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as net.AddressInfo).port;
    return this;
  }

  /** The agent's process is dead: what ran for it ends, however stubborn, since no agent waits for its end. */
  orphan(): void {
    for (const connection of this.#connections) connection.orphan();
  }

  takeMost(): number {
    const { most } = this;
    this.most = this.running;
    return most;
  }

  close(): void {
    this.#server.close();
    for (const connection of this.#connections) connection.destroy();
  }
}

class OriginConnection implements MessageUser {
  readonly #origin: Origin;
  readonly #socket: net.Socket;
  readonly #reader = new MessageReader(this);
  #wanted: Wanted | null = null;
  #check: Check | null = null;
  #timer: NodeJS.Timeout | null = null;
  #finAtMs = 0;
  #over = false;
  #orphaned = false;

  constructor(origin: Origin, socket: net.Socket) {
    this.#origin = origin;
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      if (!this.#over) this.#reader.feed(bytes);
    });
    socket.on('end', () => this.#hungUp());
    socket.on('error', () => {});
    socket.on('close', () => this.#stop());
  }

  orphan(): void {
    this.#orphaned = true;
    if (this.#over) this.#stop();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  head(text: string): boolean {
    const space = text.indexOf(' ');
    const method = text.slice(0, space);
    const wanted = wantedOf(method, text.slice(space + 1, text.indexOf(' ', space + 1)));
    if (this.#wanted !== null) this.#origin.user.defect('a request before the last one was answered');
    if (wanted === null) {
      this.#origin.user.defect(`an odd request: ${text.slice(0, 100)}`);
      this.#socket.destroy();
      return true;
    }
    this.#wanted = wanted;
    this.#check = new Check(wanted.upFrom, wanted.upBytes);
    const origin = this.#origin;
    origin.served++;
    if (++origin.running > origin.most) origin.most = origin.running;
    origin.user.arrived(origin, wanted);
    return true;
  }

  body(bytes: Buffer): void {
    this.#check?.take(bytes);
    if (this.#check?.wrong === true) this.broken(`request ${this.#wanted?.id} had wrong bytes`);
  }

  end(): void {
    const wanted = this.#wanted;
    if (wanted === null) return;
    if (this.#check?.right !== true) this.broken(`request ${wanted.id} looked complete after ${this.#check?.heard} of ${wanted.upBytes} bytes`);
    else this.#timer = setTimeout(() => this.#answer(wanted), wanted.form === 'events' ? wanted.workMs / (EVENTS + 1) : wanted.workMs);
  }

  broken(reason: string): void {
    if (!this.#over) this.#origin.user.defect(`origin ${this.#origin.name}: ${reason}`);
    this.#socket.destroy();
  }

  #answer(wanted: Wanted): void {
    this.#timer = null;
    const { method, form, bytes, from, id } = wanted;
    const framing = form === 'length' ? `Content-Length: ${bytes}` : 'Transfer-Encoding: chunked';
    const type = form === 'events' ? 'text/event-stream' : 'application/octet-stream';
    const head = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nX-Id: ${id}\r\n${framing}\r\n\r\n`;
    if (method === 'HEAD' || bytes === 0) {
      this.#last(method === 'HEAD' || form === 'length' ? head : `${head}0\r\n\r\n`);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    if (form === 'events') this.#events(wanted, 0);
    else this.#pieces(slice(from, bytes), 0, form === 'chunks');
    this.#socket.uncork();
  }

  /** The last bytes: from here on nothing runs, and the agent cannot know it earlier. */
  #last(bytes: Buffer | string): void {
    this.#stop();
    this.#socket.write(bytes, 'latin1');
  }

  #pieces(body: Buffer, from: number, chunked: boolean): void {
    for (let at = from; ;) {
      if (this.#wanted === null || this.#over) return;
      const end = Math.min(body.length, at + PIECE_BYTES);
      const isLast = end === body.length;
      if (chunked) this.#socket.write(`${(end - at).toString(16)}\r\n`, 'latin1');
      if (isLast) {
        if (!chunked) {
          this.#last(body.subarray(at, end));
          return;
        }
        this.#socket.write(body.subarray(at, end));
        this.#last('\r\n0\r\n\r\n');
        return;
      }
      let room = this.#socket.write(body.subarray(at, end));
      if (chunked) room = this.#socket.write('\r\n');
      at = end;
      if (!room) {
        this.#socket.once('drain', () => this.#pieces(body, at, chunked));
        return;
      }
    }
  }

  #events(wanted: Wanted, event: number): void {
    if (this.#wanted !== wanted || this.#over) return;
    const { bytes, from, workMs } = wanted;
    const step = Math.ceil(bytes / EVENTS);
    const start = Math.min(bytes, event * step);
    const stop = Math.min(bytes, start + step);
    if (stop > start) {
      const piece = slice(from + start, stop - start);
      this.#socket.write(`${piece.length.toString(16)}\r\n`, 'latin1');
      this.#socket.write(piece);
      this.#socket.write('\r\n');
    }
    if (stop === bytes) this.#last('0\r\n\r\n');
    else this.#timer = setTimeout(() => this.#events(wanted, event + 1), workMs / (EVENTS + 1));
  }

  /** The agent has hung up: the work is stopped, at once or, as real services do, a little later. */
  #hungUp(): void {
    this.#finAtMs = performance.now();
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const stubbornMs = this.#wanted === null || this.#orphaned ? 0 : this.#wanted.stubbornMs;
    if (stubbornMs === 0) this.#stop();
    else this.#timer = setTimeout(() => this.#stop(), stubbornMs);
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const wanted = this.#wanted;
    this.#wanted = null;
    if (wanted !== null) {
      this.#origin.running--;
      this.#origin.user.ended(this.#origin, wanted, this.#finAtMs);
    }
    if (this.#over) this.#socket.end();
  }
}
