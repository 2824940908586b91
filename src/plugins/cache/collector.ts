import { Buffer } from 'node:buffer';
import type { HeaderList } from '../../http/head.ts';
import type { BodyTransformer, TransformOut } from '../../proxy/plugin.ts';
import type { Store } from './store.ts';

/** Takes a copy of a body as it passes, up to a bound. */
export class Collector implements BodyTransformer {
  readonly #store: Store;
  readonly #maxBytes: number;
  /** Called once: the body, or null when it broke off or grew too large. */
  readonly #done: (body: Uint8Array | null) => void;
  #chunks: Buffer[] | null = [];
  #bytes = 0;

  constructor(store: Store, maxBytes: number, done: (body: Uint8Array | null) => void) {
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#done = done;
  }

  write(chunk: Uint8Array, out: TransformOut): void {
    if (this.#chunks !== null) this.#take(chunk);
    out.write(chunk);
  }

  #take(chunk: Uint8Array): void {
    if (this.#bytes + chunk.length > this.#maxBytes || !this.#store.collect(chunk.length)) {
      this.#finish(null);
      return;
    }
    this.#bytes += chunk.length;
    this.#chunks!.push(Buffer.from(chunk));
  }

  end(out: TransformOut, trailers?: HeaderList): void {
    if (this.#chunks !== null) this.#finish(Buffer.concat(this.#chunks));
    out.end(trailers);
  }

  close(): void {
    if (this.#chunks !== null) this.#finish(null);
  }

  #finish(body: Uint8Array | null): void {
    this.#store.collected(this.#bytes);
    this.#chunks = null;
    this.#done(body);
  }
}
