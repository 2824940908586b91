// HOT: every message of the Cranker wire passes here, in both directions.
import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import type * as ws from 'ws';
import type { Loop } from '../../std/loop.ts';
import type { Timed } from '../../std/sweeper.ts';
import type { Flushable } from '../../std/turn.ts';
import { WRITE_HIGH_WATER, type Wire, type WireUser } from '../../std/wire.ts';
import { BAD_REQUEST, BROKEN, CLOSED_WELL, closeReason, ERRORED, GOING_AWAY, MESSAGE_TOO_BIG, NO_CODE, PROTOCOL_ERROR } from './close-codes.ts';
import type { CrankerLimits } from './limits.ts';

/** The library that knows the framing of WebSockets. */
export type Framing = typeof ws;

/** Loads it, which takes long: only those pay for it who need it. */
export function loadFraming(): Framing {
  return createRequire(import.meta.url)('ws') as Framing;
}

/** Who reads the messages of a WebSocket. After close() or closed() nothing is called any more. */
export interface MessageUser {
  /** Bytes of a message are its own memory: they may be held. */
  text(bytes: Buffer): void;
  binary(bytes: Buffer): void;
  /** The socket takes more; follows a full. */
  drained(): void;
  /** Once a second. */
  ticked(now: number): void;
  /** The peer has closed it, or it broke (BROKEN), or it was closed for what the peer did. Exactly once, unless close() came first. */
  closed(code: number, reason: string): void;
}

const NOTHING = Buffer.alloc(0);
/** Pieces of one message: more are an attack on memory. */
const FRAGMENTS = 1_024;
const CHUNKS = 16_384;

/** A WebSocket within an upgraded connection: whole messages, pings, and an orderly end. Output is gathered and handed over once per turn of the event loop. */
export class Messages implements WireUser, Timed, Flushable {
  queued = false;
  due: number;
  place = -1;
  readonly wire: Wire;
  readonly #loop: Loop;
  readonly #limits: CrankerLimits;
  readonly #receiver: ws.Receiver;
  readonly #sender: ws.Sender;
  /** Connectors mask what they send. */
  readonly #masks: boolean;
  #user: MessageUser | null = null;
  #corked = false;
  #state: 'open' | 'closing' | 'over' = 'open';
  /** Has the peer said that it closes? */
  #concluded = false;
  #paused = false;
  /** Monotonic ms of the last bytes in, and of the last message out. */
  heardMs: number;
  #saidMs: number;
  #closeDueMs = Infinity;
  /** What the peer may still waste. */
  #patience: number;
  #patienceMs: number;

  /** Give it a user before the turn is over. */
  constructor(loop: Loop, wire: Wire, role: 'router' | 'connector', limits: CrankerLimits, framing: Framing) {
    this.#loop = loop;
    this.wire = wire;
    this.#limits = limits;
    this.#masks = role === 'connector';
    const now = loop.clock.now();
    this.heardMs = this.#saidMs = this.#patienceMs = now;
    this.#patience = limits.idleBurst;
    this.due = now + limits.tickMs;
    this.#receiver = new framing.Receiver({
      isServer: role === 'router',
      maxPayload: limits.messageBytes,
      maxFragments: FRAGMENTS,
      maxBufferedChunks: CHUNKS,
    });
    this.#sender = new framing.Sender({
      cork: () => {},
      uncork: () => {},
      write: (bytes, done) => {
        this.#write(bytes);
        done?.();
      },
    });
    this.#receiver.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.#state !== 'open' || this.#user === null) return;
      if (isBinary) this.#user.binary(data);
      else this.#user.text(data);
    });
    this.#receiver.on('ping', (data: Buffer) => {
      if (this.#state !== 'open' || !this.waste(1)) return;
      this.#sender.pong(data, this.#masks);
    });
    this.#receiver.on('pong', () => this.waste(1));
    this.#receiver.on('conclude', (code: number, reason: Buffer) => this.#conclude(code, reason));
    this.#receiver.on('error', (error: Error & { code?: string }) => {
      const isBig = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
      this.fault(isBig ? MESSAGE_TOO_BIG : PROTOCOL_ERROR, error.message);
    });
    wire.user = this;
    loop.sweeper.add(this);
  }

  set user(user: MessageUser) {
    this.#user = user;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Bytes that the socket has not taken. */
  get unsentBytes(): number {
    return this.wire.buffered;
  }

  /** Is it better to wait for drained() before more is written? */
  get isFull(): boolean {
    return this.wire.buffered >= WRITE_HIGH_WATER;
  }

  /** The memory is not ours any more. */
  sendText(bytes: Buffer): void {
    this.#send(bytes, false);
  }

  /** The memory is not ours any more. */
  sendBinary(bytes: Buffer): void {
    this.#send(bytes, true);
  }

  #send(bytes: Buffer, binary: boolean): void {
    if (this.#state !== 'open') return;
    this.#saidMs = this.#loop.sweeper.coarse;
    this.#sender.send(bytes, { binary, fin: true, mask: this.#masks, compress: false });
  }

  ping(): void {
    if (this.#state !== 'open') return;
    this.#saidMs = this.#loop.sweeper.coarse;
    this.#sender.ping(NOTHING, this.#masks);
  }

  #write(bytes: Uint8Array): void {
    const { wire } = this;
    if (wire.closed || wire.socket.writableEnded) return;
    if (!this.#corked) {
      this.#corked = true;
      wire.cork();
      this.#loop.turn.later(this);
    }
    wire.write(bytes);
    // Pongs and resets are not asked for room.
    if (wire.buffered > this.#limits.unsentBytes) wire.destroy();
  }

  flush(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.wire.uncork();
  }

  /** Stops reading: the peer is held up, and nothing can be known of its life meanwhile. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.wire.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.heardMs = this.#loop.clock.now();
    if (!this.wire.closed) this.wire.resume();
  }

  /** Closes it in order; the user is not called any more. */
  close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#user = null;
    this.resume();
    this.#closeDueMs = this.#loop.clock.now() + this.#limits.closeTimeoutMs;
    this.#sender.close(code, closeReason(reason), this.#masks);
  }

  /** The peer broke the rules of the whole connection: it is closed, and the user told. */
  fault(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    const user = this.#user;
    this.close(code, reason);
    user?.closed(code, reason);
  }

  /** Counts what carries nothing on: pings, empty frames, frames for nobody. @returns false when that was too many, and the connection is over */
  waste(messages: number): boolean {
    const now = this.#loop.sweeper.coarse;
    const { idlePerSecond, idleBurst } = this.#limits;
    this.#patience = Math.min(idleBurst, this.#patience + ((now - this.#patienceMs) * idlePerSecond) / 1000) - messages;
    this.#patienceMs = now;
    if (this.#patience >= 0) return true;
    this.fault(BAD_REQUEST, 'too many messages that carry nothing');
    return false;
  }

  /** What was useful makes up for what was not: late frames of a request that is over, for instance. */
  forgive(messages: number): void {
    this.#patience = Math.min(this.#limits.idleBurst, this.#patience + messages);
  }

  // --- the wire

  received(bytes: Buffer, start: number, end: number): void {
    this.heardMs = this.#loop.sweeper.coarse;
    if (this.#state === 'over' || this.#concluded || this.#receiver.errored !== null) return;
    // The receiver unmasks in place, keeps what is not complete, and its messages may be held: it needs memory of its own.
    this.#receiver.write(Buffer.from(bytes.subarray(start, end)));
  }

  finished(): void {
    this.#break();
  }

  drained(): void {
    this.#user?.drained();
  }

  closed(): void {
    this.#loop.sweeper.remove(this);
    this.#break();
  }

  #conclude(code: number, reason: Buffer): void {
    if (this.#concluded) return;
    this.#concluded = true;
    const user = this.#state === 'open' ? this.#user : null;
    if (this.#state === 'open') this.close(code === NO_CODE ? CLOSED_WELL : sendable(code), '');
    this.#state = 'over';
    this.flush();
    this.wire.end();
    user?.closed(code, reason.toString('utf8'));
  }

  /** FIN or RST without a close: if an orderly end was under way, it is as good as done. */
  #break(): void {
    const user = this.#state === 'open' ? this.#user : null;
    this.#state = 'over';
    this.#user = null;
    this.flush();
    this.wire.destroy();
    user?.closed(BROKEN, '');
  }

  expired(now: number): void {
    this.due = now + this.#limits.tickMs;
    if (this.#state === 'over' && this.#closeDueMs === Infinity) this.#closeDueMs = now + this.#limits.closeTimeoutMs;
    if (now >= this.#closeDueMs) {
      this.wire.destroy();
      return;
    }
    if (this.#state !== 'open') return;
    if (!this.#paused && now - this.heardMs >= this.#limits.idleTimeoutMs) {
      const user = this.#user;
      this.close(GOING_AWAY, 'silent for too long');
      user?.closed(SILENT, `nothing was heard for ${Math.round((now - this.heardMs) / 1000)} s`);
      return;
    }
    if (now - this.#saidMs >= this.#limits.pingAfterMs) this.ping();
    this.#user?.ticked(now);
  }

  /** No byte has come for so long that no new work should go there. */
  isOverdue(now: number): boolean {
    return !this.#paused && now - this.heardMs >= this.#limits.overdueMs;
  }
}

/** Code of closed() when the peer was given up because it said nothing; never on the wire. */
export const SILENT = -1;

/** May this code stand in a close frame that we send? What peers send is not always so. */
function sendable(code: number): number {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999) ? code : ERRORED;
}
