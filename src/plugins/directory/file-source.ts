import { Buffer } from 'node:buffer';
import { read } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { Failure } from '../../http/failure.ts';
import type { ByteRange } from '../../http/range.ts';
import type { BodyOut, BodySource } from '../../proxy/plugin.ts';
import { SPARE_BUFFERS } from './limits.ts';

/** Memory that files are read into, used again by the next one. */
export class ReadBuffers {
  readonly bytes: number;
  readonly #spare: Buffer[] = [];

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bytes);
  }

  giveBack(buffer: Buffer): void {
    if (this.#spare.length < SPARE_BUFFERS) this.#spare.push(buffer);
  }
}

/** A piece of an open file as a body: one buffer, read again when the last piece has been taken. Closes the file. */
export class FileSource implements BodySource {
  readonly length: number;
  readonly #file: FileHandle;
  readonly #buffers: ReadBuffers;
  #at: number;
  readonly #end: number;
  #buffer: Buffer | null = null;
  #out: BodyOut | null = null;
  #isReading = false;
  #isOver = false;

  constructor(file: FileHandle, { start, end }: ByteRange, buffers: ReadBuffers) {
    this.#file = file;
    this.#at = start;
    this.#end = end;
    this.length = end - start;
    this.#buffers = buffers;
  }

  start(out: BodyOut): void {
    this.#out = out;
    this.#go();
  }

  drained(): void {
    this.#go();
  }

  #go(): void {
    if (this.#isReading || this.#isOver) return;
    if (this.#at >= this.#end) {
      this.#finish();
      this.#out!.end();
      return;
    }
    this.#isReading = true;
    this.#buffer ??= this.#buffers.take();
    read(this.#file.fd, this.#buffer, 0, Math.min(this.#buffer.length, this.#end - this.#at), this.#at, this.#came);
  }

  readonly #came = (error: Error | null, bytes: number): void => {
    this.#isReading = false;
    // Given up while the kernel was writing into the buffer.
    if (this.#isOver) {
      this.#giveBack();
      return;
    }
    if (error !== null || bytes === 0) {
      this.#finish();
      this.#out!.abort(new Failure('internal', error === null ? 'the file became shorter while it was sent' : 'the file cannot be read on'));
      return;
    }
    this.#at += bytes;
    if (this.#out!.write(this.#buffer!.subarray(0, bytes)) || this.#at >= this.#end) this.#go();
  };

  abort(): void {
    if (!this.#isOver) this.#finish();
  }

  #finish(): void {
    this.#isOver = true;
    if (!this.#isReading) this.#giveBack();
  }

  /** Only when nobody reads: a number of a closed file may be another's by then. */
  #giveBack(): void {
    if (this.#buffer !== null) this.#buffers.giveBack(this.#buffer);
    this.#buffer = null;
    void this.#file.close().catch(() => {});
  }
}
