// HOT: every body byte of protocol 3.0 that a connector sends passes here.
import { Buffer } from 'node:buffer';
import { DATA, END_STREAM, FRAME_HEAD, HEADER, headerFlags, headerPieceEnd, writeFrameHead } from './frames-3.ts';
import type { CrankerLimits } from './limits.ts';

/** The socket that frames go to. */
export interface FrameSocket {
  /** A whole frame, whose memory is the socket's now; short ones it may copy, then it is nobody's. */
  send(frame: Buffer): void;
  readonly isFull: boolean;
  /** Calls goOn() when the socket takes more. */
  waits(sending: Sending3): void;
}

/** Whose frames they are. */
export interface SendingOwner {
  /** There is room again, after data() said false. */
  roomy(): void;
  /** What was held back has left, the end included. */
  sent(): void;
}

/** One direction of a stream: held back by its window, and by the socket. */
export class Sending3 {
  readonly #socket: FrameSocket;
  readonly #owner: SendingOwner;
  readonly #id: number;
  readonly #limits: CrankerLimits;
  /** Bytes that have been sent, HEADER and DATA, and not been acknowledged. */
  #outstanding = 0;
  /** Over its window: nothing more is sent before enough has been acknowledged. */
  #stopped = false;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #endPending = false;
  /** data() has said false. */
  #waits = false;
  /** END_STREAM has been sent. */
  ended = false;

  constructor(socket: FrameSocket, owner: SendingOwner, id: number, limits: CrankerLimits) {
    this.#socket = socket;
    this.#owner = owner;
    this.#id = id;
    this.#limits = limits;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Does something wait for the peer? */
  get isStalled(): boolean {
    return this.#waits || this.#pendingBytes > 0;
  }

  /**
   * Sends a head's text, text[start..end), in as many frames as it needs. There is room for a frame's head in front of it, and the memory is the socket's now.
   * Heads wait for nothing: the window counts them.
   */
  head(text: Buffer, start: number, end: number, hasBody: boolean): void {
    this.#count(end - start);
    this.ended = !hasBody;
    const most = this.#limits.headerChunkBytes;
    if (end - start <= most) {
      writeFrameHead(text, start - FRAME_HEAD, HEADER, headerFlags(true, hasBody), this.#id);
      this.#socket.send(text.subarray(start - FRAME_HEAD, end));
      return;
    }
    for (let from = start; from < end;) {
      const to = headerPieceEnd(text, from, end, most);
      const frame = Buffer.allocUnsafe(FRAME_HEAD + to - from);
      frame.set(text.subarray(from, to), writeFrameHead(frame, 0, HEADER, headerFlags(to === end, hasBody), this.#id));
      this.#socket.send(frame);
      from = to;
    }
  }

  /** Sends a borrowed piece of a body. @returns false to ask for a pause until roomy() */
  data(chunk: Uint8Array): boolean {
    const most = this.#limits.sendBytes - FRAME_HEAD;
    for (let from = 0; from < chunk.length; from += most) {
      const part = chunk.subarray(from, from + most);
      const frame = Buffer.allocUnsafe(FRAME_HEAD + part.length);
      frame.set(part, writeFrameHead(frame, 0, DATA, 0, this.#id));
      if (this.#pendingBytes > 0 || this.#isHeld) {
        this.#pending.push(frame);
        this.#pendingBytes += part.length;
      } else this.#go(frame);
    }
    this.#waits = this.#pendingBytes > 0 || this.#isHeld;
    if (this.#waits && this.#socket.isFull) this.#socket.waits(this);
    return !this.#waits;
  }

  end(): void {
    if (this.#pendingBytes > 0) this.#endPending = true;
    else this.#goEnd();
  }

  get #isHeld(): boolean {
    return this.#stopped || this.#socket.isFull;
  }

  #count(bytes: number): void {
    this.#outstanding += bytes;
    if (this.#outstanding > this.#limits.windowBytes) this.#stopped = true;
  }

  #go(frame: Buffer): void {
    this.#count(frame.length - FRAME_HEAD);
    this.#socket.send(frame);
  }

  #goEnd(): void {
    this.ended = true;
    const frame = Buffer.allocUnsafe(FRAME_HEAD);
    writeFrameHead(frame, 0, DATA, END_STREAM, this.#id);
    this.#socket.send(frame);
  }

  /** The peer has consumed so many bytes. More than were sent is nobody's gain. */
  credited(bytes: number): void {
    this.#outstanding = Math.max(0, this.#outstanding - bytes);
    if (!this.#stopped || this.#outstanding >= this.#limits.resumeBytes) return;
    this.#stopped = false;
    this.goOn();
  }

  /** Sends what waits, as far as it may go. */
  goOn(): void {
    let at = 0;
    while (at < this.#pending.length && !this.#isHeld) {
      const frame = this.#pending[at++]!;
      this.#pendingBytes -= frame.length - FRAME_HEAD;
      this.#go(frame);
    }
    if (at > 0) this.#pending.splice(0, at);
    if (this.#socket.isFull && this.#waits) this.#socket.waits(this);
    if (this.#pendingBytes > 0) return;
    if (this.#endPending) {
      this.#endPending = this.#waits = false;
      this.#goEnd();
      this.#owner.sent();
    } else if (this.#waits && !this.#isHeld) {
      this.#waits = false;
      this.#owner.roomy();
    }
  }

  /** What waits is dropped. */
  drop(): void {
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#endPending = this.#waits = false;
  }
}
