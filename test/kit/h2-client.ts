import http2 from 'node:http2';

/** What came of a stream. */
export interface Answered {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly text: string;
  readonly trailers: http2.IncomingHttpHeaders;
  /** Did the other side end it? */
  readonly ended: boolean;
  readonly resetCode: number;
}

/** A session of node:http2 by prior knowledge, closed when the test is over. */
export function connectH2(later: (close: () => unknown) => void, port: number, options: http2.ClientSessionOptions = {}): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`, options);
  session.on('error', () => {});
  later(() => session.destroy());
  return session;
}

/** One request and its whole answer. */
export function askH2(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: string | Buffer): Promise<Answered> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return readStream(stream);
}

/** Reads a stream until it is closed; never fails. */
export function readStream(stream: http2.ClientHttp2Stream): Promise<Answered> {
  let headers: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  let text = '';
  let ended = false;
  stream.on('error', () => {});
  stream.on('response', (fields) => (headers = fields));
  stream.on('trailers', (fields) => (trailers = fields));
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  stream.on('end', () => (ended = true));
  return new Promise((resolve) => {
    stream.on('close', () =>
      resolve({ status: Number(headers[':status'] ?? 0), headers, text, trailers, ended: ended && stream.rstCode === 0, resetCode: stream.rstCode }),
    );
  });
}
