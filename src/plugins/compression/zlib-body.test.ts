import { randomBytes } from 'node:crypto';
import zlib from 'node:zlib';
import { expect, test } from 'vitest';
import type { Failure } from '../../http/failure.ts';
import type { TransformOut } from '../../proxy/plugin.ts';
import { codingsOf } from './codings.ts';
import { ZlibBody } from './zlib-body.ts';

/** Takes what comes, and is full when told so. */
class Taker implements TransformOut {
  chunks: Buffer[] = [];
  full = false;
  isFullAfterEach = false;
  failure: Failure | null = null;
  ended: Promise<void>;
  #end!: () => void;
  #ready: (() => void) | null = null;
  #wrote: (() => void) | null = null;

  constructor() {
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  write(chunk: Uint8Array): boolean {
    this.chunks.push(Buffer.from(chunk));
    this.full = this.isFullAfterEach;
    this.#wrote?.();
    return !this.full;
  }

  end(): void {
    this.#end();
  }

  abort(failure: Failure): void {
    this.failure = failure;
    this.#end();
  }

  ready(): void {
    this.#ready?.();
  }

  nextReady(): Promise<void> {
    return new Promise((resolve) => (this.#ready = resolve));
  }

  nextWrite(): Promise<void> {
    return new Promise((resolve) => (this.#wrote = resolve));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

const [gzip] = codingsOf().filter(({ name }) => name === 'gzip');

test('a large body goes through in bounded memory: it takes no more while a reader is slow, and loses nothing', async () => {
  const out = new Taker();
  out.isFullAfterEach = true;
  const stream = gzip!.compress(1);
  const body = new ZlibBody(stream, { flushes: false, flush: undefined, maxBytes: Infinity });
  const chunk = randomBytes(64 * 1024);
  const sent: Buffer[] = [];
  let most = 0;
  for (let i = 0; i < 64; i++) {
    const ready = out.nextReady();
    sent.push(Buffer.from(chunk));
    const goesOn = body.write(chunk, out);
    // Whoever wrote it may use its memory again.
    chunk[0]! ^= 1;
    most = Math.max(most, stream.writableLength + stream.readableLength);
    if (goesOn) continue;
    let isReady = false;
    void ready.then(() => (isReady = true));
    while (!isReady) {
      await new Promise((resolve) => setImmediate(resolve));
      if (out.full) {
        out.full = false;
        body.drained();
      }
    }
  }
  out.isFullAfterEach = false;
  out.full = false;
  body.end(out);
  body.drained();
  await out.ended;
  expect(zlib.gunzipSync(out.bytes).equals(Buffer.concat(sent))).toBe(true);
  expect(most).toBeLessThan(200 * 1024);
});

test('a body whose end nobody knows is flushed when it pauses', async () => {
  const out = new Taker();
  const body = new ZlibBody(gzip!.compress(6), { flushes: true, flush: gzip!.flush, maxBytes: Infinity });
  const seen = (): string => zlib.gunzipSync(out.bytes, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString();
  body.write(Buffer.from('one line\n'), out);
  while (out.bytes.length < 20) await out.nextWrite();
  expect(seen()).toBe('one line\n');
  body.write(Buffer.from('another\n'), out);
  const before = out.bytes.length;
  while (out.bytes.length === before) await out.nextWrite();
  expect(seen()).toBe('one line\nanother\n');
  body.close();
});

test.each([
  ['blanks a thousand times their size', Buffer.alloc(8 * 1024 * 1024), 1e9, /100 times/],
  ['more than is allowed', randomBytes(3 * 1024 * 1024), 1024 * 1024, /1048576 bytes/],
])('[threat 56] what unpacks to %s breaks off, and little more is made of it', async (_name, plain, maxBytes, why) => {
  const out = new Taker();
  const body = new ZlibBody(gzip!.decompress(), { flushes: false, flush: undefined, maxBytes });
  body.write(zlib.gzipSync(plain), out);
  await out.ended;
  expect(out.failure!.detail).toMatch(why);
  body.close();
  expect(out.bytes.length).toBeLessThan(2 * 1024 * 1024);
});

test('what is no gzip, or ends in its middle, breaks off', async () => {
  for (const bytes of [Buffer.from('this is no gzip at all'), zlib.gzipSync('cut short').subarray(0, 20)]) {
    const out = new Taker();
    const body = new ZlibBody(gzip!.decompress(), { flushes: false, flush: undefined, maxBytes: 1e6 });
    body.write(bytes, out);
    body.end(out);
    await out.ended;
    expect(out.failure?.code).toBe('bad_response');
  }
});
