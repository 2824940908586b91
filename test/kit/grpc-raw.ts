// gRPC frame by frame, over node:http2: for what a client library hides, such as in which frame a status came, and for what it would not send.
import { Buffer } from 'node:buffer';
import http2 from 'node:http2';
import type { Kit } from './kit.ts';

/** What came back of a call. */
export interface RawAnswer {
  readonly head: http2.IncomingHttpHeaders;
  /** The head was the end, too: the form that gRPC calls trailers-only. */
  readonly headOnly: boolean;
  readonly body: Buffer;
  readonly trailers: http2.IncomingHttpHeaders | null;
  /** Code of the RST_STREAM; 0 without one. */
  readonly reset: number;
}

export interface RawCall {
  readonly stream: http2.ClientHttp2Stream;
  /** When nothing more comes. */
  readonly answer: Promise<RawAnswer>;
}

/** A message as gRPC frames it. */
export function framed(message: Buffer | string): Buffer {
  const bytes = Buffer.from(message);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** Opens connections that calls are made on. */
export function rawGrpc(
  { later }: Kit,
  port: number,
  ca?: Buffer,
): (fields?: http2.OutgoingHttpHeaders, message?: Buffer | string | null) => RawCall {
  const session =
    ca === undefined
      ? http2.connect(`http://127.0.0.1:${port}`)
      : http2.connect(`https://127.0.0.1:${port}`, { ca, checkServerIdentity: () => undefined });
  session.on('error', () => {});
  later(() => session.destroy());
  // Null: the request stays open.
  return (fields = {}, message = 'a message') => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.Service/Unary',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...fields,
    });
    const answer = new Promise<RawAnswer>((resolve) => {
      let head: http2.IncomingHttpHeaders = {};
      let headOnly = false;
      let trailers: http2.IncomingHttpHeaders | null = null;
      const chunks: Buffer[] = [];
      stream.on('error', () => {});
      stream.on('response', (fields, flags) => {
        head = fields;
        headOnly = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      });
      stream.on('trailers', (fields) => {
        trailers = fields;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('close', () => resolve({ head, headOnly, body: Buffer.concat(chunks), trailers, reset: stream.rstCode }));
    });
    if (message === null) stream.write('');
    else stream.end(framed(message));
    return { stream, answer };
  };
}
