/** One answer as it stood on the wire, taken apart by rules of its own: tests must not trust the parser they test. */
export interface Answer {
  readonly status: number;
  readonly minor: number;
  readonly reason: string;
  /** In order, names as sent. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
  /** Interim answers before it. */
  readonly interim: readonly number[];
  /** Did its body arrive in full? For close-delimited ones: did the connection end with FIN? */
  readonly complete: boolean;
  /** Bytes of the stream it took, interim answers included. */
  readonly bytes: number;
}

/** How the stream stands: still open, ended by FIN, or reset. */
export type Ending = 'open' | 'fin' | 'reset';

/**
 * The first answer in `stream`; null while its head is not complete. An unfinished body gives `complete: false`.
 * @throws when it is not a well-formed answer
 */
export function readAnswer(stream: Buffer, method: string, ending: Ending): Answer | null {
  const interim: number[] = [];
  let from = 0;
  for (;;) {
    const end = stream.indexOf('\r\n\r\n', from, 'latin1');
    if (end < 0) return null;
    const [line, ...lines] = stream.toString('latin1', from, end).split('\r\n');
    const [, minor, statusText, reason] = /^HTTP\/1\.([01]) (\d{3}) ([^\r\n]*)$/.exec(line!) ?? fail(`not a status line: ${JSON.stringify(line)}`);
    const status = Number(statusText);
    const fields = lines.map(fieldOf);
    from = end + 4;
    if (status < 200 && status !== 101) {
      interim.push(status);
      continue;
    }
    const head = { status, minor: Number(minor), reason: reason!, fields, interim };
    const lengths = valuesOf(fields, 'content-length');
    const codings = valuesOf(fields, 'transfer-encoding');
    if (lengths.length > 1 || codings.length > 1 || (lengths.length > 0 && codings.length > 0)) fail('ambiguous framing');
    if (method === 'HEAD' || status === 204 || status === 304)
      return { ...head, framing: 'none', body: EMPTY, trailers: [], complete: true, bytes: from };
    if (codings.length > 0) {
      if (codings[0] !== 'chunked') fail(`transfer coding ${codings[0]}`);
      return { ...head, framing: 'chunked', ...readChunks(stream, from, ending) };
    }
    if (lengths.length > 0) {
      if (!/^\d+$/.test(lengths[0]!)) fail(`length ${lengths[0]}`);
      const length = Number(lengths[0]);
      const body = stream.subarray(from, from + length);
      return { ...head, framing: 'length', body, trailers: [], complete: body.length === length, bytes: from + body.length };
    }
    return { ...head, framing: 'close', body: stream.subarray(from), trailers: [], complete: ending === 'fin', bytes: stream.length };
  }
}

/** All values of a name in lower case. */
export function valuesOf(fields: Answer['fields'], lower: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === lower).map(([, value]) => value);
}

const EMPTY = Buffer.alloc(0);

function fieldOf(line: string): [string, string] {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*$/.exec(line) ?? fail(`not a field: ${JSON.stringify(line)}`);
  return [name!, value!];
}

/** While more may come nobody wants a body that is not complete: to make one at each read would take a long one's length squared. */
function readChunks(stream: Buffer, from: number, ending: Ending): Pick<Answer, 'body' | 'trailers' | 'complete' | 'bytes'> {
  const parts: Buffer[] = [];
  let at = from;
  const soFar = (complete: boolean, trailers: Answer['trailers'] = []) => ({
    body: complete || ending !== 'open' ? Buffer.concat(parts) : EMPTY,
    trailers,
    complete,
    bytes: at,
  });
  for (;;) {
    const line = stream.indexOf('\r\n', at, 'latin1');
    if (line < 0) return soFar(false);
    const text = stream.toString('latin1', at, line);
    if (!/^[0-9a-f]+$/i.test(text)) fail(`chunk size ${JSON.stringify(text)}`);
    const size = Number.parseInt(text, 16);
    at = line + 2;
    if (size === 0) break;
    parts.push(stream.subarray(at, at + size));
    if (stream.length < at + size + 2) {
      at = stream.length;
      return soFar(false);
    }
    if (stream.toString('latin1', at + size, at + size + 2) !== '\r\n') fail('a chunk without its CRLF');
    at += size + 2;
  }
  const trailers: [string, string][] = [];
  for (;;) {
    const line = stream.indexOf('\r\n', at, 'latin1');
    if (line < 0) return soFar(false, trailers);
    const text = stream.toString('latin1', at, line);
    at = line + 2;
    if (text === '') return soFar(true, trailers);
    trailers.push(fieldOf(text));
  }
}

function fail(why: string): never {
  throw new Error(`not a well-formed answer: ${why}`);
}
