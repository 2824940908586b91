import { Buffer } from 'node:buffer';
import type { HeaderList } from '../../http/head.ts';
import type { BodyTransformer, TransformOut } from '../../proxy/plugin.ts';
import type { Filter } from './filter.ts';
import { SLICE_BYTES } from './limits.ts';
import { type Stage, stageOf } from './stage.ts';

/** Takes a body through filters, each on what the one before made of it, slice by slice: a slow reader stops it between two slices. */
export class FilteredBody implements BodyTransformer {
  readonly #stages: readonly Stage[];
  /** What has come and not passed yet. */
  #rest = '';
  #isEnding = false;
  #trailers: HeaderList | undefined = undefined;

  constructor(filters: readonly Filter[]) {
    this.#stages = filters.map(stageOf);
  }

  write(chunk: Uint8Array, out: TransformOut): boolean {
    this.#rest += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).latin1Slice(0, chunk.length);
    return this.#go(out);
  }

  end(out: TransformOut, trailers?: HeaderList): void {
    this.#isEnding = true;
    this.#trailers = trailers;
    if (this.#rest === '') this.#finish(out);
  }

  drained(out: TransformOut): void {
    if (!this.#go(out)) return;
    if (this.#isEnding) this.#finish(out);
    else out.ready();
  }

  /** @returns whether all has passed */
  #go(out: TransformOut): boolean {
    while (this.#rest !== '') {
      if (out.full) return false;
      let text = this.#rest.slice(0, SLICE_BYTES);
      this.#rest = this.#rest.slice(SLICE_BYTES);
      for (const stage of this.#stages) text = stage.push(text);
      if (text !== '') out.write(Buffer.from(text, 'latin1'));
    }
    return true;
  }

  #finish(out: TransformOut): void {
    let text = '';
    for (const stage of this.#stages) text = stage.push(text) + stage.flush();
    if (text !== '') out.write(Buffer.from(text, 'latin1'));
    out.end(this.#trailers);
  }
}
