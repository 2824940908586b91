import { Buffer } from 'node:buffer';
import type net from 'node:net';
import { Duplex } from 'node:stream';

/** What an end of a pair says of who is at its other end. */
export interface SocketFacts {
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly localAddress?: string;
  readonly localPort?: number;
}

/**
 * A connection within the process: what is written at one end is read at the other, with bounded memory. Both ends may be given to whoever wants a
 * connected net.Socket and asks no more of it than node:http and Wire do. Nothing is delivered inside the call that sends it.
 */
export function socketPair(facts: SocketFacts = {}): readonly [near: PairedSocket, far: PairedSocket] {
  const near = new PairedSocket(facts);
  const far = new PairedSocket(facts);
  near.partner = far;
  far.partner = near;
  return [near, far];
}

export class PairedSocket extends Duplex {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  partner!: PairedSocket;
  /** Tells the partner that more of what it writes is wanted. */
  #wanted: (() => void) | null = null;
  #holds = 0;
  /** Tells the partner that this end is closed, when nothing holds that back any more. */
  #farewell: (() => void) | null = null;

  constructor({ remoteAddress, remotePort, localAddress, localPort }: SocketFacts) {
    super({ allowHalfOpen: true });
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.localAddress = localAddress;
    this.localPort = localPort;
  }

  /** As the socket that it stands for. */
  get asSocket(): net.Socket {
    return this as unknown as net.Socket;
  }

  /** The partner does not learn that this end is closed before the work is over: whoever counts what runs goes by that. */
  hold(work: Promise<unknown>): void {
    this.#holds++;
    const release = (): void => {
      if (--this.#holds > 0) return;
      this.#farewell?.();
      this.#farewell = null;
    };
    work.then(release, release);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    // The writer may use its memory again as soon as this returns.
    const copy = Buffer.from(chunk);
    setImmediate(() => {
      const { partner } = this;
      if (partner.destroyed || partner.push(copy)) done();
      else partner.#wanted = done;
    });
  }

  override _read(): void {
    const wanted = this.#wanted;
    this.#wanted = null;
    wanted?.();
  }

  override _final(done: () => void): void {
    this.#say(() => {
      if (!this.partner.destroyed) this.partner.push(null);
    });
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Whoever writes to an end that is gone waits for nobody.
    this._read();
    // A cut is never taken for an orderly end.
    if (!this.writableFinished) this.#say(() => this.partner.destroy(Object.assign(new Error('the other end was cut'), { code: 'ECONNRESET' })));
    done(error);
  }

  #say(farewell: () => void): void {
    if (this.#holds > 0) this.#farewell = farewell;
    else setImmediate(farewell);
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  /** Closes when all that was written has been taken. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }
}
