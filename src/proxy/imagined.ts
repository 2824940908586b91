import { Buffer } from 'node:buffer';
import { RequestHead } from '../http/head.ts';
import { httpLimits } from '../http/limits.ts';
import { parseRequest } from '../http/parse.ts';
import { Wrong } from '../schema/wrong.ts';

/** A request as people describe one. */
export interface Described {
  readonly host: string;
  readonly method: string;
  /** With its query, if any. */
  readonly path: string;
  /** Lines `name: value`. */
  readonly headers: readonly string[];
}

/**
 * The head of a request that nobody sent, read by the parser that reads real ones: what it refuses and what it resolves is the same.
 * @throws Wrong when no such request could come in
 */
export function imagine({ host, method, path, headers }: Described): RequestHead {
  const lines = [`${method} ${path} HTTP/1.1`, ...(host === '' ? [] : [`Host: ${host}`]), ...headers];
  const broken = lines.find((line) => /[\r\n]/.test(line));
  if (broken !== undefined) throw new Wrong('has a line break in it', 'take it out', broken);
  // Only an HTTP/1.0 client may name no host.
  const text = `${lines.join('\r\n')}\r\n\r\n`.replace('HTTP/1.1', host === '' ? 'HTTP/1.0' : 'HTTP/1.1');
  const bytes = Buffer.from(text, 'latin1');
  const head = new RequestHead();
  if (parseRequest(head, bytes, 0, bytes.length, httpLimits) > 0) return head;
  throw new Wrong('is no request that would be let in', head.problemDetail === '' ? 'write it as a client would' : head.problemDetail);
}
