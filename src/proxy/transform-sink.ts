// HOT: every chunk of a body that a plugin changes passes here.
import type { BodySink, Writer } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import type { HeaderList } from '../http/head.ts';
import type { Reads } from '../std/reads.ts';
import type { BodyTransformer, TransformOut } from './plugin.ts';

/** A link in the chain of body transformers: takes chunks from whoever writes, hands what becomes of them to the next, and passes pressure back. */
export class TransformSink implements BodySink, Writer {
  writer: Writer | null = null;
  readonly #transformer: BodyTransformer;
  readonly #next: BodySink;
  readonly #out: Out;
  /** A defect of the transformer: told once. */
  readonly #defect: (error: unknown) => void;
  /** The transformer asked for no more, or whoever writes was told to stop. */
  #holds = false;
  #stopped = false;
  #isInside = false;
  #isOver = false;

  constructor(transformer: BodyTransformer, next: BodySink, reads: Reads, defect: (error: unknown) => void) {
    this.#transformer = transformer;
    this.#next = next;
    this.#defect = defect;
    this.#out = new Out(this, next, reads);
    next.writer = this;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isOver) return true;
    this.#isInside = true;
    this.#holds = false;
    try {
      if (this.#transformer.write(chunk, this.#out) === false && !this.#out.wasReady) this.#holds = true;
    } catch (error) {
      this.#fail(error);
    }
    this.#out.wasReady = false;
    this.#isInside = false;
    const goes = this.#isOver || (!this.#holds && !this.#out.full);
    if (!goes) this.#stopped = true;
    return goes;
  }

  end(trailers?: HeaderList): void {
    if (this.#isOver) return;
    try {
      this.#transformer.end(this.#out, trailers);
    } catch (error) {
      this.#fail(error);
    }
  }

  abort(failure: Failure): void {
    if (this.#isOver || this.#isEndedBy(failure)) return;
    this.close();
    this.#next.abort(failure);
  }

  #isEndedBy(failure: Failure): boolean {
    const transformer = this.#transformer;
    try {
      return transformer.broken?.(failure, this.#out) === true;
    } catch (error) {
      this.#defect(error);
      return false;
    }
  }

  /** The next can take more. */
  drained(): void {
    this.#out.full = false;
    if (this.#isOver) return;
    try {
      this.#transformer.drained?.(this.#out);
    } catch (error) {
      this.#fail(error);
    }
    this.resume();
  }

  ready(): void {
    this.#holds = false;
    this.resume();
  }

  resume(): void {
    if (!this.#stopped || this.#isInside || this.#holds || this.#out.full || this.#isOver) return;
    this.#stopped = false;
    this.writer?.drained();
  }

  #fail(error: unknown): void {
    this.#defect(error);
    this.abort(new Failure('internal', 'a plugin failed while it changed the body'));
  }

  /** No call reaches the transformer any more. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      this.#transformer.close?.();
    } catch (error) {
      this.#defect(error);
    }
  }

  get isOver(): boolean {
    return this.#isOver;
  }
}

/** The way out of a transformer. */
class Out implements TransformOut {
  readonly #sink: TransformSink;
  readonly #next: BodySink;
  readonly #reads: Reads;
  full = false;
  /** ready() was said from inside write(). */
  wasReady = false;

  constructor(sink: TransformSink, next: BodySink, reads: Reads) {
    this.#sink = sink;
    this.#next = next;
    this.#reads = reads;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#sink.isOver) return true;
    // Nobody knows what the transformer does with its memory next: who holds the chunk must copy it.
    this.#reads.private = false;
    if (!this.#next.write(chunk)) this.full = true;
    return !this.full;
  }

  end(trailers?: HeaderList): void {
    if (this.#sink.isOver) return;
    this.#sink.close();
    this.#next.end(trailers);
  }

  abort(reason: Failure | Error): void {
    this.#sink.abort(failureOf(reason));
  }

  ready(): void {
    this.wasReady = true;
    this.#sink.ready();
  }
}

/** What a plugin gives as its reason is anything at all, and may hold what is not for clients. */
export function failureOf(reason: unknown): Failure {
  return reason instanceof Failure ? reason : new Failure('internal', 'a plugin gave up the answer');
}
