// HOT: every message of the Cranker wire passes here, in both directions.
import { Buffer } from 'node:buffer';
import { createRequire } from 'node:module';
import type * as ws from 'ws';
import { FrameTracker } from '../../http/websocket-frames.ts';
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

/** Bytes of connections, frames included. */
export interface Carried {
  sent: number;
  received: number;
}

/** Who reads the messages of a WebSocket. After close() or closed() nothing is called any more. */
export interface MessageUser {
  /** The message is bytes[start..end), borrowed like any chunk that was read (decisions/007). */
  text(bytes: Buffer, start: number, end: number): void;
  binary(bytes: Buffer, start: number, end: number): void;
  /** The socket takes more; follows a full. */
  drained(): void;
  /** Once a second. */
  ticked(now: number): void;
  /** The peer has closed it, or it broke (BROKEN), or it was closed for what the peer did. Exactly once, unless close() came first. */
  closed(code: number, reason: string): void;
}

const NOTHING = Buffer.alloc(0);
const NO_WORDS = new DataView(new ArrayBuffer(0));
/** Pieces of one message: more are an attack on memory. */
const FRAGMENTS = 1_024;
const CHUNKS = 16_384;

/** First bytes of frames that are whole messages, and the mask bit of the second (RFC 6455 5.2). */
const WHOLE_TEXT = 0x81;
const WHOLE_BINARY = 0x82;
const WHOLE_CLOSE = 0x88;
const MASKED = 0x80;
/** What a router sends is copied up to this, together with other messages of the turn: one write for many. Larger ones go as they are. */
export const COPIED_BYTES: number = 4 * 1024;
const GATHER_START_BYTES = 512;
const GATHER_MOST_BYTES = 64 * 1024;

/**
 * A WebSocket within an upgraded connection: whole messages, pings, and an orderly end. Output is gathered and handed over once per turn of the event loop.
 * Messages and closes that come in one frame and one read, nearly all, are read here; all else of the framing is the library's business (decisions/021), which
 * most sockets of protocol 1.0 never need: one serves one request.
 */
export class Messages implements WireUser, Timed, Flushable {
  queued = false;
  due: number;
  place = -1;
  readonly wire: Wire;
  readonly #loop: Loop;
  readonly #limits: CrankerLimits;
  readonly #framing: Framing;
  #receiver: ws.Receiver | null = null;
  #sender: ws.Sender | null = null;
  /** Connectors mask what they send. */
  readonly #masks: boolean;
  #user: MessageUser | null = null;
  #corked = false;
  /** Frames of this turn, from #poured to #gathered not yet written. */
  #gather: Buffer = NOTHING;
  #poured = 0;
  #gathered = 0;
  #gatherBytes = GATHER_START_BYTES;
  /** What was read last, and the same for reading four bytes at a time. */
  #viewed: Buffer = NOTHING;
  #words: DataView = NO_WORDS;
  /** Where the library stands within what it was given. */
  #tracker: FrameTracker | null = null;
  #fragmented = false;
  #state: 'open' | 'closing' | 'over' = 'open';
  /** Has the peer said that it closes? */
  #concluded = false;
  #paused = false;
  /** Bytes so far. Connections that are counted as one are given one record. */
  carried: Carried = { sent: 0, received: 0 };
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
    this.#framing = framing;
    wire.user = this;
    loop.sweeper.add(this);
  }

  /** The library's reader, for what is not read here. */
  #makeReceiver(): ws.Receiver {
    const options: ws.ReceiverOptions & { skipUTF8Validation: boolean } = {
      isServer: !this.#masks,
      maxPayload: this.#limits.messageBytes,
      maxFragments: FRAGMENTS,
      maxBufferedChunks: CHUNKS,
      // crank4go sends the bytes of fields as they are, and HTTP never promised that they are UTF-8: whether a head is one is for its reader to say.
      skipUTF8Validation: true,
    };
    const receiver = new this.#framing.Receiver(options);
    receiver.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.#state !== 'open' || this.#user === null) return;
      if (isBinary) this.#user.binary(data, 0, data.length);
      else this.#user.text(data, 0, data.length);
    });
    receiver.on('ping', (data: Buffer) => {
      if (this.#state !== 'open' || !this.waste(1)) return;
      this.#control.pong(data, this.#masks);
    });
    receiver.on('pong', () => this.waste(1));
    receiver.on('conclude', (code: number, reason: Buffer) => this.#conclude(code, reason));
    receiver.on('error', (error: Error & { code?: string }) => {
      const isBig = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
      this.fault(isBig ? MESSAGE_TOO_BIG : PROTOCOL_ERROR, error.message);
    });
    return receiver;
  }

  /** The library's writer: control frames, and all that is masked. */
  get #control(): ws.Sender {
    return (this.#sender ??= new this.#framing.Sender({
      cork: () => {},
      uncork: () => {},
      write: (bytes, done) => {
        this.#write(bytes);
        done?.();
      },
    }));
  }

  set user(user: MessageUser) {
    this.#user = user;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Bytes that the socket has not taken. */
  get unsentBytes(): number {
    return this.wire.buffered + this.#gathered - this.#poured;
  }

  /** Is it better to wait for drained() before more is written? */
  get isFull(): boolean {
    return this.unsentBytes >= WRITE_HIGH_WATER;
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
    if (this.#masks) this.#control.send(bytes, { binary, fin: true, mask: true, compress: false });
    else this.#frame(binary ? WHOLE_BINARY : WHOLE_TEXT, bytes);
  }

  /** A frame without a mask, as routers send them: no object per message. */
  #frame(first: number, bytes: Buffer): void {
    const n = bytes.length;
    const head = n < 126 ? 2 : n < 65_536 ? 4 : 10;
    if (n > COPIED_BYTES) {
      const start = Buffer.allocUnsafe(head);
      writeFrameStart(start, 0, first, n);
      this.#write(start);
      this.#write(bytes);
      return;
    }
    if (this.#gather.length - this.#gathered < head + n) this.#makeRoom(head + n);
    const at = writeFrameStart(this.#gather, this.#gathered, first, n);
    if (n > LOOPED_BYTES) this.#gather.set(bytes, at);
    else for (let i = 0; i < n; i++) this.#gather[at + i] = bytes[i]!;
    this.#gathered = at + n;
    this.#loop.turn.later(this);
  }

  #makeRoom(bytes: number): void {
    this.#pour();
    if (this.#gathered > 0) this.#gatherBytes = Math.min(this.#gatherBytes * 2, GATHER_MOST_BYTES);
    this.#gather = Buffer.allocUnsafe(Math.max(this.#gatherBytes, bytes));
    this.#poured = this.#gathered = 0;
  }

  #pour(): void {
    const { wire } = this;
    const from = this.#poured;
    this.#poured = this.#gathered;
    if (from === this.#gathered || wire.closed || wire.socket.writableEnded) return;
    this.carried.sent += this.#gathered - from;
    wire.write(this.#gather.subarray(from, this.#gathered));
    // Pongs and resets are not asked for room.
    if (wire.buffered > this.#limits.unsentBytes) wire.destroy();
  }

  ping(): void {
    if (this.#state !== 'open') return;
    this.#saidMs = this.#loop.sweeper.coarse;
    this.#control.ping(NOTHING, this.#masks);
  }

  #write(bytes: Uint8Array): void {
    const { wire } = this;
    if (wire.closed || wire.socket.writableEnded) return;
    if (!this.#corked) {
      this.#corked = true;
      wire.cork();
      this.#loop.turn.later(this);
    }
    this.#pour();
    this.carried.sent += bytes.length;
    wire.write(bytes);
    // Pongs and resets are not asked for room.
    if (wire.buffered > this.#limits.unsentBytes) wire.destroy();
  }

  flush(): void {
    this.#pour();
    if (this.#corked) {
      this.#corked = false;
      this.wire.uncork();
    }
    // What the kernel has taken all of is filled again.
    if (this.wire.buffered > 0) this.#gather = NOTHING;
    this.#poured = this.#gathered = 0;
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
    if (this.#masks) this.#control.close(code, closeReason(reason), true);
    else this.#frame(WHOLE_CLOSE, closePayload(code, closeReason(reason)));
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
    this.carried.received += end - start;
    let i = start;
    while (i < end && this.#state !== 'over' && !this.#concluded && (this.#receiver === null || this.#receiver.errored === null)) {
      if (this.#tracker === null || this.#tracker.isBetween) {
        const next = this.#fragmented ? i : this.#whole(bytes, i, end);
        if (next > i) {
          i = next;
          continue;
        }
        const first = bytes[i]!;
        if ((first & CONTROL) === 0) this.#fragmented = (first & FIN) === 0;
      }
      // The receiver unmasks in place, keeps what is not complete, and its messages may be held: it needs memory of its own.
      const piece = Buffer.from(bytes.subarray(i, end));
      const n = (this.#tracker ??= new FrameTracker()).follow(piece, true);
      (this.#receiver ??= this.#makeReceiver()).write(n === piece.length ? piece : piece.subarray(0, n));
      i += n;
    }
  }

  /** Reads a message that is here from its first byte to its last, in one frame. @returns the offset behind it; `at` when it is anything else */
  #whole(bytes: Buffer, at: number, end: number): number {
    const first = bytes[at]!;
    if ((first !== WHOLE_BINARY && first !== WHOLE_TEXT && first !== WHOLE_CLOSE) || end - at < 2) return at;
    const second = bytes[at + 1]!;
    // Routers mask nothing, connectors everything; whoever does it the other way is told so by the library.
    if (((second & MASKED) !== 0) === this.#masks) return at;
    let n = second & 0x7f;
    let from = at + 2;
    if (n === 126) {
      if (end - from < 2) return at;
      n = (bytes[from]! << 8) | bytes[from + 1]!;
      from += 2;
    } else if (n === 127) return at;
    const maskAt = from;
    if (!this.#masks) from += 4;
    if (end - from < n || n > this.#limits.messageBytes) return at;
    const to = from + n;
    if (!this.#masks) this.#unmask(bytes, maskAt, from, to);
    if (first === WHOLE_CLOSE) {
      const code = n === 0 ? NO_CODE : n === 1 || n > CONTROL_BYTES ? 0 : bytes.readUInt16BE(from);
      if (n === 0 || sendable(code) === code) this.#conclude(code, bytes.subarray(Math.min(from + 2, to), to));
      else {
        // As it came, for the library to refuse.
        if (!this.#masks) this.#unmask(bytes, maskAt, from, to);
        return at;
      }
      return to;
    }
    const user = this.#state === 'open' ? this.#user : null;
    if (first === WHOLE_BINARY) user?.binary(bytes, from, to);
    else user?.text(bytes, from, to);
    return to;
  }

  #wordsOf(bytes: Buffer): DataView {
    // Nearly always the same buffer: all small reads share one.
    if (bytes !== this.#viewed) {
      this.#viewed = bytes;
      this.#words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    return this.#words;
  }

  /** In place, four bytes at a time. Once more masks again. */
  #unmask(bytes: Buffer, maskAt: number, from: number, to: number): void {
    const words = this.#wordsOf(bytes);
    const mask = words.getInt32(maskAt, true);
    let i = from;
    for (const quads = to - 3; i < quads; i += 4) words.setInt32(i, words.getInt32(i, true) ^ mask, true);
    for (let at = 0; i < to; i++, at++) bytes[i] = bytes[i]! ^ bytes[maskAt + at]!;
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
    const isFirst = this.#state === 'open';
    const user = isFirst ? this.#user : null;
    if (isFirst) this.close(code === NO_CODE ? CLOSED_WELL : sendable(code), '');
    this.#state = 'over';
    this.flush();
    // Whoever answers a close has read all that came before it. crank4go's router lets its end of the connection be open then, for ever.
    if (isFirst) this.wire.end();
    else this.wire.destroySoon();
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
    if (now - this.#saidMs >= this.#limits.tickMs) this.#gather = NOTHING;
    if (now - this.#saidMs >= this.#limits.pingAfterMs) this.ping();
    this.#user?.ticked(now);
  }

  /** No byte has come for so long that no new work should go there. */
  isOverdue(now: number): boolean {
    return !this.#paused && now - this.heardMs >= this.#limits.overdueMs;
  }
}

const FIN = 0x80;
/** Payload of a control frame (RFC 6455 5.5). */
const CONTROL_BYTES = 125;
/** Bit of the opcode that control frames have, which may stand between the pieces of a message. */
const CONTROL = 0x08;
/** Below this a loop is faster than a call. */
const LOOPED_BYTES = 32;

/** The first bytes of a frame without a mask. @returns the offset behind them */
function writeFrameStart(out: Buffer, at: number, first: number, length: number): number {
  out[at] = first;
  if (length < 126) {
    out[at + 1] = length;
    return at + 2;
  }
  if (length < 65_536) {
    out[at + 1] = 126;
    out[at + 2] = length >> 8;
    out[at + 3] = length;
    return at + 4;
  }
  out[at + 1] = 127;
  out.writeBigUInt64BE(BigInt(length), at + 2);
  return at + 10;
}

function closePayload(code: number, reason: string): Buffer {
  const payload = Buffer.allocUnsafe(2 + Buffer.byteLength(reason));
  payload.write(reason, payload.writeUInt16BE(code, 0));
  return payload;
}

/** Code of closed() when the peer was given up because it said nothing; never on the wire. */
export const SILENT = -1;

/** May this code stand in a close frame that we send? What peers send is not always so. */
function sendable(code: number): number {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999) ? code : ERRORED;
}
