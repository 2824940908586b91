// HOT: one Wire per TCP or TLS connection; received() and write() run per chunk.
import type net from 'node:net';
import type { Loop } from './loop.ts';

/** Who uses a wire. All calls come from the event loop, never from inside a call on the wire. */
export interface WireUser {
  /** Bytes `bytes[start..end)` arrived. Borrowed until the call returns (see Reads). */
  received(bytes: Buffer, start: number, end: number): void;
  /** The peer sent FIN: nothing more will be received. Writing may still work. */
  finished(): void;
  /** All that was written is with the kernel; follows a write that said false. */
  drained(): void;
  /** The connection is gone; exactly once, last. `error` is null after an orderly end. */
  closed(error: Error | null): void;
}

/** Node's own default would let a reader that stopped reading cost 16 KiB before we hear of it; below this much unsent, keep writing. */
export const WRITE_HIGH_WATER = 64 * 1024;

/**
 * A connected socket without Node's stream API: push-shaped both ways, no allocation per chunk.
 * Outgoing sockets read into a shared buffer through `onread`; accepted ones get 'data' events (see adopt() in listen.ts for the faster way).
 */
export class Wire {
  readonly socket: net.Socket;
  readonly #loop: Loop;
  user: WireUser;
  bytesIn = 0;
  bytesOut = 0;
  #private: Buffer | null = null;
  #finished = false;
  #closed = false;
  #error: Error | null = null;
  #onData: ((chunk: Buffer) => void) | null = null;

  constructor(loop: Loop, user: WireUser, make: (onread: net.OnReadOpts) => net.Socket) {
    this.#loop = loop;
    this.user = user;
    const socket = make({ buffer: () => this.#private ?? loop.reads.shared, callback: (n, buffer) => this.#onRead(n, buffer as Buffer) });
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('end', () => {
      this.#finished = true;
      this.user.finished();
    });
    socket.on('drain', () => this.user.drained());
    socket.on('error', (error: Error) => {
      this.#error = error;
      // After its handshake Node leaves a TLS socket open whose peer has sent an alert, or a record that nobody has sealed; it only falls silent.
      if (!socket.destroyed) socket.destroy();
    });
    socket.on('close', () => {
      this.#closed = true;
      if (this.#private !== null) {
        this.#private = null;
        loop.reads.giveBack();
      }
      this.user.closed(this.#error);
    });
  }

  /** Starts 'data' events, for sockets that could not be given `onread`. Their chunks are fresh memory each. */
  listenToData(): this {
    this.#onData = (chunk: Buffer) => {
      this.bytesIn += chunk.length;
      this.#loop.reads.private = true;
      this.user.received(chunk, 0, chunk.length);
    };
    this.socket.on('data', this.#onData);
    return this;
  }

  /** Gives the socket to somebody who reads and writes it in another way: no call comes from here any more. */
  release(): net.Socket {
    this.user = NOBODY;
    if (this.#onData !== null) {
      this.socket.removeListener('data', this.#onData);
      this.socket.pause();
    }
    return this.socket;
  }

  #onRead(n: number, buffer: Buffer): boolean {
    const reads = this.#loop.reads;
    this.bytesIn += n;
    reads.kept = false;
    reads.private = buffer !== reads.shared;
    this.user.received(buffer, 0, n);
    if (this.#private === null) {
      // A read that filled half the buffer is probably one of many: give this wire a buffer of its own, so that chunks can be passed on by reference.
      if (n >= buffer.length / 2 && !this.#closed) this.#private = reads.borrow();
    } else if (n < buffer.length / 2) {
      this.#private = null;
      reads.giveBack();
    } else if (reads.kept) {
      this.#private = Buffer.allocUnsafeSlow(buffer.length);
    }
    return true;
  }

  get closed(): boolean {
    return this.#closed || this.socket.destroyed;
  }

  /** What went wrong so far: the alert with which a TLS peer leaves comes before its FIN. */
  get error(): Error | null {
    return this.#error;
  }

  /** Has the peer sent FIN? */
  get ended(): boolean {
    return this.#finished;
  }

  /** Bytes written but not yet taken by the kernel. */
  get buffered(): number {
    return this.socket.writableLength;
  }

  /** Writes bytes that nobody will overwrite (a slab, a kept chunk). False: wait for drained() before writing much more. */
  write(bytes: Uint8Array): boolean {
    this.bytesOut += bytes.length;
    this.socket.write(bytes);
    return this.socket.writableLength < WRITE_HIGH_WATER;
  }

  /** Writes a borrowed chunk: by reference when its memory may be passed on, else through a slab. Inside cork() its fate is known only at uncork(). */
  writeBorrowed(chunk: Uint8Array, corked = false): boolean {
    const { reads, slabs } = this.#loop;
    if (reads.private) {
      const fine = this.write(chunk);
      if (!corked && this.socket.writableLength > 0) reads.kept = true;
      return fine;
    }
    const n = chunk.length;
    const slab = slabs.take(n);
    const from = slab.at;
    slab.bytes.set(chunk, from);
    slab.at = from + n;
    const fine = this.write(slab.bytes.subarray(from, from + n));
    if (this.socket.writableLength === 0) slabs.release(slab, n);
    return fine;
  }

  /** Gathers the writes until uncork() into one system call. */
  cork(): void {
    this.socket.cork();
  }

  uncork(): void {
    this.socket.uncork();
    if (this.socket.writableLength > 0) this.#loop.reads.kept = true;
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Sends FIN after what was written. */
  end(): void {
    if (!this.socket.destroyed) this.socket.end();
  }

  /** Calls back, perhaps twice, when all that was written is with the kernel, or the connection is gone. A closure: for the rare case that something is left. */
  whenFlushed(done: () => void): void {
    const { socket } = this;
    if (socket.writableLength === 0 || socket.destroyed) done();
    else if (socket.writableEnded) {
      // Writing after end() would destroy the socket, and what is left with it.
      socket.once('finish', done);
      socket.once('close', done);
    } else socket.write(NOTHING, () => done());
  }

  /** Sends what was written, then FIN, then closes without waiting for the peer. */
  destroySoon(): void {
    this.socket.destroySoon();
  }

  /** Closes at once; unsent bytes are lost. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Closes at once with RST where the transport can, so that the peer cannot take a cut for an orderly end. */
  reset(): void {
    if (this.socket.destroyed) return;
    if (typeof this.socket.resetAndDestroy === 'function' && !('encrypted' in this.socket)) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }
}

const NOTHING = new Uint8Array(0);
const NOBODY: WireUser = { received: () => {}, finished: () => {}, drained: () => {}, closed: () => {} };
