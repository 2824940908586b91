import { Failure } from '../../http/failure.ts';
import type { HeaderList } from '../../http/head.ts';
import type { BodyTransformer, TransformOut } from '../../proxy/plugin.ts';
import { Base64Reader } from './base64.ts';

/** The messages of a request in base64, as they were before. */
export class TextRequest implements BodyTransformer {
  readonly #reader = new Base64Reader();

  write(chunk: Uint8Array, out: TransformOut): void {
    let bytes;
    try {
      bytes = this.#reader.read(chunk);
    } catch (error) {
      out.abort(new Failure('bad_request', (error as Error).message));
      return;
    }
    if (bytes.length > 0) out.write(bytes);
  }

  end(out: TransformOut, trailers?: HeaderList): void {
    if (this.#reader.isWhole) out.end(trailers);
    else out.abort(new Failure('bad_request', 'the body ends inside of its base64'));
  }
}
