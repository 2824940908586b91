// HOT: one RequestFront per request of a location with a plugin that changes bodies of requests; every chunk of them passes here.
import type { BodySink, RequestSink, Writer } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import type { HeaderList } from '../http/head.ts';
import type { Exchange } from './exchange.ts';
import type { BodyTransformer } from './plugin.ts';
import { TransformSink } from './transform-sink.ts';

/** Stands before an exchange, so that a plugin may change the body of the request before it is held, sent or sent again. */
export class RequestFront implements RequestSink {
  readonly #exchange: Exchange;
  #writer: Writer | null = null;
  #link: TransformSink | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Takes the body through this from now on, what is held of it as well. @throws RangeError when something does so already */
  transform(transformer: BodyTransformer): void {
    if (this.#link !== null) throw new RangeError('the body of this request is changed already');
    const exchange = this.#exchange;
    const { loop } = exchange.site;
    const held = exchange.takeHeld();
    const link = new TransformSink(transformer, new Into(exchange), loop.reads, (error) => exchange.site.defect(error));
    link.writer = this.#writer;
    this.#link = link;
    if (held === null) return;
    let goes = true;
    for (const chunk of held.chunks) goes = link.write(chunk);
    if (held.isComplete) link.end();
    else if (held.isBlocked && goes) setImmediate(goOn, this);
  }

  get writer(): Writer | null {
    return this.#writer;
  }

  set writer(writer: Writer | null) {
    this.#writer = writer;
    if (this.#link === null) this.#exchange.writer = writer;
    else this.#link.writer = writer;
  }

  write(chunk: Uint8Array): boolean {
    return this.#link === null ? this.#exchange.write(chunk) : this.#link.write(chunk);
  }

  end(trailers?: HeaderList): void {
    if (this.#link === null) this.#exchange.end(trailers);
    else this.#link.end(trailers);
  }

  abort(failure: Failure): void {
    this.#link?.close();
    this.#exchange.abort(failure);
  }

  settled(): void {
    this.#link?.close();
    this.#exchange.settled();
  }
}

function goOn(front: RequestFront): void {
  front.writer?.drained();
}

/** Where the changed body goes. What the transformer gives up is the fault of the request: it is answered. */
class Into implements BodySink {
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get writer(): Writer | null {
    return this.#exchange.writer;
  }

  set writer(writer: Writer | null) {
    this.#exchange.writer = writer;
  }

  write(chunk: Uint8Array): boolean {
    return this.#exchange.write(chunk);
  }

  end(trailers?: HeaderList): void {
    this.#exchange.end(trailers);
  }

  abort(failure: Failure): void {
    this.#exchange.giveUp(failure);
  }
}
