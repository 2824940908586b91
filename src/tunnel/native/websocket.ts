import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import type net from 'node:net';
import { Duplex } from 'node:stream';
import type * as ws from 'ws';
import type { RequestHead, ResponseHead } from '../../http/head.ts';
import { SEC_WEBSOCKET_KEY } from '../../http/names.ts';
import type { Loop } from '../../std/loop.ts';
import { Wire, type WireUser } from '../../std/wire.ts';
import { acceptOf } from '../websocket-handshake.ts';

/** The subprotocol: what is in the binary messages, put one behind the other, is the stream of `windlass/1`. */
const SUBPROTOCOL = 'windlass.1';
const AGENT_PATH = '/windlass/agent';
/** Bytes of one message that is taken. A peer of ours sends less; more would have to be held whole. */
const MESSAGE_BYTES = 4 * 1024 * 1024;
/** Pieces of one message that are taken, and chunks of bytes that are held for one. Ours come whole; what lies between may cut them. */
const MESSAGE_PIECES = 1_024;
const MESSAGE_CHUNKS = 16 * 1024;
/** Pings and empty messages in ten seconds: ours send none, what lies between some. */
const PINGS = 100;
const PINGS_WITHIN_MS = 10_000;
/** Bytes of one message that is sent. */
const SEND_BYTES = 256 * 1024;
/** Going away as agreed. */
const NORMAL = 1000;

/** Does an agent ask for the WebSocket form of the tunnel? Applications' own WebSockets do not. */
export function asksForWebSocket(head: RequestHead): boolean {
  if (head.upgrade.toLowerCase() !== 'websocket' || !pathOf(head.target).endsWith(AGENT_PATH)) return false;
  return (head.get('sec-websocket-protocol') ?? '').split(',').some((one) => one.trim() === SUBPROTOCOL);
}

/** The lines of the hub's 101 besides those for every upgrade. */
export function acceptLines(head: RequestHead): string {
  return `Sec-WebSocket-Accept: ${acceptOf(head.value(SEC_WEBSOCKET_KEY))}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n`;
}

/** The lines of an agent's request. */
export function askLines(key: string): string {
  return `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n`;
}

/** Is the 101 the answer to our key, and from a hub? */
export function isGranted(head: ResponseHead, key: string): boolean {
  return (
    head.upgrade.toLowerCase() === 'websocket' &&
    head.get('sec-websocket-accept') === acceptOf(key) &&
    head.get('sec-websocket-protocol') === SUBPROTOCOL &&
    head.get('sec-websocket-extensions') === undefined
  );
}

function pathOf(target: string): string {
  const question = target.indexOf('?');
  return question < 0 ? target : target.slice(0, question);
}

/** The tunnel's byte stream within an upgraded connection. `rest`: bytes that came behind the head. Set the wire's user before the turn of the event loop is over. */
export function overWebSocket(loop: Loop, inner: Wire, rest: Buffer, role: 'agent' | 'hub'): Wire {
  const socket = new FramedSocket(inner, role, loop);
  const wire = new Wire(loop, NOBODY, () => socket as unknown as net.Socket).listenToData();
  if (rest.length > 0) socket.received(rest, 0, rest.length);
  return wire;
}

const NOBODY: WireUser = { received() {}, finished() {}, drained() {}, closed() {} };

/** What a Wire needs of a socket, made of WebSocket messages on another wire. Not for speed: those who want that dial without it. */
class FramedSocket extends Duplex {
  readonly #inner: Wire;
  readonly #receiver: ws.Receiver;
  readonly #sender: ws.Sender;
  /** Clients mask what they send. */
  readonly #masks: boolean;
  #hasEnded = false;

  readonly #loop: Loop;
  #pings = 0;
  #pingsSinceMs = 0;

  constructor(inner: Wire, role: 'agent' | 'hub', loop: Loop) {
    super();
    this.#loop = loop;
    this.#inner = inner;
    this.#masks = role === 'agent';
    // Loading it takes as long as the rest of a hub: only those pay for it who need it.
    const framing = createRequire(import.meta.url)('ws') as typeof ws;
    this.#receiver = new framing.Receiver({
      isServer: role === 'hub',
      maxPayload: MESSAGE_BYTES,
      maxFragments: MESSAGE_PIECES,
      maxBufferedChunks: MESSAGE_CHUNKS,
    });
    this.#sender = new framing.Sender({
      cork: () => inner.cork(),
      uncork: () => inner.uncork(),
      write: (bytes, done) => {
        if (!inner.closed && !inner.socket.writableEnded) inner.write(bytes);
        done?.();
      },
    });
    this.#receiver.on('message', (data: Buffer, isBinary: boolean) => {
      if (!isBinary) this.destroy(new Error('the peer sent text'));
      else if (data.length === 0) this.#countPing();
      else if (!this.push(data)) inner.pause();
    });
    this.#receiver.on('ping', (data: Buffer) => {
      if (this.#countPing()) this.#sender.pong(data, this.#masks);
    });
    this.#receiver.on('conclude', () => this.#endReading());
    this.#receiver.on('error', (error: Error) => this.destroy(error));
    inner.user = {
      received: (bytes, start, end) => this.received(bytes, start, end),
      finished: () => this.#endReading(),
      drained: () => {},
      closed: (error) => this.destroy(error ?? undefined),
    };
  }

  /** @returns false when there are too many */
  #countPing(): boolean {
    const now = this.#loop.clock.now();
    if (now - this.#pingsSinceMs >= PINGS_WITHIN_MS) {
      this.#pingsSinceMs = now;
      this.#pings = 0;
    }
    if (++this.#pings <= PINGS) return true;
    this.destroy(new Error('the peer sends too many pings'));
    return false;
  }

  received(bytes: Buffer, start: number, end: number): void {
    // The receiver keeps what is not complete.
    if (!this.#hasEnded && !this.destroyed) this.#receiver.write(Buffer.from(bytes.subarray(start, end)));
  }

  #endReading(): void {
    if (this.#hasEnded || this.destroyed) return;
    this.#hasEnded = true;
    this.push(null);
  }

  override _read(): void {
    if (!this.#inner.closed) this.#inner.resume();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    for (let from = 0; from < chunk.length; from += SEND_BYTES) {
      this.#sender.send(chunk.subarray(from, from + SEND_BYTES), { binary: true, fin: true, mask: this.#masks, compress: false });
    }
    // Memory that was written is used again as soon as it is said to be out.
    let isDone = false;
    this.#inner.whenFlushed(() => {
      if (isDone) return;
      isDone = true;
      done();
    });
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#sender.close(NORMAL, '', this.#masks);
    this.#inner.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#inner.destroy();
    done(error);
  }

  setNoDelay(): this {
    return this;
  }

  destroySoon(): void {
    if (this.writableFinished) this.destroy();
    else this.end(() => this.destroy());
  }
}
