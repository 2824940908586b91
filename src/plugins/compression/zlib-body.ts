import { Buffer } from 'node:buffer';
import { Failure } from '../../http/failure.ts';
import type { HeaderList } from '../../http/head.ts';
import type { BodyTransformer, TransformOut } from '../../proxy/plugin.ts';
import type { Clock } from '../../std/clock.ts';
import type { ZlibStream } from './codings.ts';
import { BOMB_FREE_BYTES, BOMB_RATIO, MEMORY_BYTES } from './limits.ts';

/** How a body is taken through zlib. */
export interface ZlibBodyOptions {
  /** What has come goes out before more is waited for: for bodies whose end nobody knows. */
  readonly flushes: boolean;
  /** How the stream is flushed. */
  readonly flush: number | undefined;
  /** Most bytes that may come out; then the answer breaks off. Infinity when compressing. */
  readonly maxBytes: number;
  /** Who wants to know, when it is over, how it went: bytes in and out, and how long zlib was at work, ms by this clock. */
  readonly report?: { readonly clock: Clock; over(bytesIn: number, bytesOut: number, busyMs: number): void };
}

/**
 * Takes a body through a stream of zlib's, which works on another thread. At most one chunk waits to go in and 16 KiB to come out: whoever writes is asked to
 * stop meanwhile.
 */
export class ZlibBody implements BodyTransformer {
  readonly #stream: ZlibStream;
  readonly #options: ZlibBodyOptions;
  #out: TransformOut | null = null;
  #trailers: HeaderList | undefined = undefined;
  #bytesIn = 0;
  #bytesOut = 0;
  #isEnding = false;
  /** Since when the thread has something to do; 0 = it has not. And how long it had, ms. */
  #busySinceMs = 0;
  #busyMs = 0;
  /** Where large chunks wait for the thread. */
  #memory: Buffer | null = null;

  constructor(stream: ZlibStream, options: ZlibBodyOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  write(chunk: Uint8Array, out: TransformOut): boolean {
    if (this.#out === null) this.#listen(out);
    this.#bytesIn += chunk.length;
    this.#works();
    return this.#stream.write(this.#copyOf(chunk), this.#taken);
  }

  /** The chunk is borrowed, and the thread reads it later. Large ones come one at a time, and share their memory. */
  #copyOf(chunk: Uint8Array): Buffer {
    const { length } = chunk;
    if (length < MEMORY_BYTES / 4 || length > MEMORY_BYTES || this.#stream.writableLength > 0) return Buffer.from(chunk);
    this.#memory ??= Buffer.allocUnsafeSlow(MEMORY_BYTES);
    this.#memory.set(chunk);
    return this.#memory.subarray(0, length);
  }

  /** A chunk is in. When it was the last for now, what can be read of it goes out. */
  readonly #taken = (): void => {
    if (this.#stream.writableLength > 0) return;
    this.#rests();
    if (this.#options.flushes && !this.#isEnding && !this.#stream.destroyed) this.#stream.flush(this.#options.flush);
  };

  #works(): void {
    const { report } = this.#options;
    if (report !== undefined && this.#busySinceMs === 0) this.#busySinceMs = report.clock.now();
  }

  #rests(): void {
    const { report } = this.#options;
    if (report === undefined || this.#busySinceMs === 0) return;
    this.#busyMs += report.clock.now() - this.#busySinceMs;
    this.#busySinceMs = 0;
  }

  end(out: TransformOut, trailers?: HeaderList): void {
    if (this.#out === null) this.#listen(out);
    this.#trailers = trailers;
    this.#isEnding = true;
    this.#works();
    this.#stream.end();
  }

  #listen(out: TransformOut): void {
    this.#out = out;
    const stream = this.#stream;
    stream.on('drain', () => out.ready());
    stream.on('data', (chunk: Buffer) => this.#came(chunk, out));
    stream.on('end', () => out.end(this.#trailers));
    stream.on('error', (error) => out.abort(new Failure('bad_response', `the body cannot be unpacked: ${error.message}`)));
  }

  #came(chunk: Buffer, out: TransformOut): void {
    this.#bytesOut += chunk.length;
    const { maxBytes } = this.#options;
    if (this.#bytesOut > maxBytes || (maxBytes !== Infinity && this.#bytesOut > BOMB_FREE_BYTES && this.#bytesOut > BOMB_RATIO * this.#bytesIn)) {
      out.abort(
        new Failure(
          'bad_response',
          `the body unpacks to more than ${this.#bytesOut > maxBytes ? `${maxBytes} bytes` : `${BOMB_RATIO} times its size`}`,
        ),
      );
      return;
    }
    if (!out.write(chunk)) this.#stream.pause();
  }

  drained(): void {
    this.#stream.resume();
  }

  close(): void {
    this.#rests();
    this.#stream.destroy();
    this.#options.report?.over(this.#bytesIn, this.#bytesOut, this.#busyMs);
  }
}
