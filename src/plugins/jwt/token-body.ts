import { Failure } from '../../http/failure.ts';
import type { BodyTransformer, TransformOut } from '../../proxy/plugin.ts';
import { BODY_BYTES } from './limits.ts';

/** Makes `{"token": …}` of a JSON body. What cannot be made one breaks off: half of an answer is none. */
export class TokenBody implements BodyTransformer {
  readonly #sign: (payload: string) => Promise<string>;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(sign: (payload: string) => Promise<string>) {
    this.#sign = sign;
  }

  write(chunk: Uint8Array, out: TransformOut): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= BODY_BYTES) this.#chunks.push(Buffer.from(chunk));
    else out.abort(new Failure('bad_response', `the answer to be made a token of has more than ${BODY_BYTES} bytes`));
  }

  end(out: TransformOut): void {
    const payload = objectIn(Buffer.concat(this.#chunks).toString('utf8'));
    if (payload === null) {
      out.abort(new Failure('bad_response', 'the answer to be made a token of is no JSON object'));
      return;
    }
    this.#sign(payload).then(
      (token) => {
        out.write(Buffer.from(`${JSON.stringify({ token })}\n`));
        out.end();
      },
      () => out.abort(new Failure('internal', 'the token could not be signed')),
    );
  }
}

/** The same object written anew; null when it is none. */
function objectIn(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? JSON.stringify(value) : null;
  } catch {
    return null;
  }
}
