import { Buffer } from 'node:buffer';
import { GRPC_UNKNOWN, grpcStatusFields, grpcStatusOf } from '../../http/grpc.ts';
import type { Failure } from '../../http/failure.ts';
import type { HeaderList } from '../../http/head.ts';
import type { BodyTransformer, TransformOut } from '../../proxy/plugin.ts';

/** Flag of the frame that carries trailers (PROTOCOL-WEB). */
const TRAILERS = 0x80;
/** A flag and a length stand before each message. */
const PREFIX_BYTES = 5;

/** The messages of an answer, in base64 when that was asked for, and its trailers as the last of them. */
export class AnswerBody implements BodyTransformer {
  readonly #isText: boolean;
  readonly #status: HeaderList;
  /** Bytes of the prefix that have come; its length so far. */
  #prefix = 0;
  #length = 0;
  /** Bytes of the message that are to come. */
  #left = 0;

  /** `status`: what the head said of it already, where there are no trailers. */
  constructor(isText: boolean, status: HeaderList) {
    this.#isText = isText;
    this.#status = status;
  }

  write(chunk: Uint8Array, out: TransformOut): void {
    this.#follow(chunk);
    this.#send(chunk, out);
  }

  end(out: TransformOut, trailers: HeaderList = []): void {
    const all = [...this.#status, ...trailers];
    const hasStatus = all.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'grpc-status');
    this.#finish(out, hasStatus ? all : [...all, ...grpcStatusOf(GRPC_UNKNOWN, 'the service told no status')]);
  }

  broken(failure: Failure, out: TransformOut): boolean {
    // Inside of a message it would be read as a part of that.
    if (this.#left > 0 || this.#prefix > 0) return false;
    this.#finish(out, grpcStatusFields(failure));
    return true;
  }

  #finish(out: TransformOut, trailers: HeaderList): void {
    let text = '';
    for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]!.toLowerCase()}: ${trailers[i + 1]!}\r\n`;
    const frame = Buffer.alloc(PREFIX_BYTES + text.length);
    frame[0] = TRAILERS;
    frame.writeUInt32BE(text.length, 1);
    frame.latin1Write(text, PREFIX_BYTES);
    this.#send(frame, out);
    out.end();
  }

  /** Padded, so that what has come can be read before there is more. */
  #send(bytes: Uint8Array, out: TransformOut): void {
    out.write(this.#isText ? Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'), 'latin1') : bytes);
  }

  /** Where do messages end? */
  #follow(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      // The flag is not a part of the length.
      if (this.#prefix > 0) this.#length = this.#length * 256 + chunk[at]!;
      at++;
      if (++this.#prefix < PREFIX_BYTES) continue;
      this.#left = this.#length;
      this.#prefix = this.#length = 0;
    }
  }
}
