import { parseDuration } from './duration.ts';
import { type Kind, scalar } from './kind.ts';
import { parseServerUrl } from './upstream-url.ts';
import { Wrong } from './wrong.ts';

/** Where traces are sent, and in what portions. */
export interface OtlpEndpoint {
  /** Address that takes traces (OTLP over HTTP), user info taken out. */
  readonly url: string;
  /** Ready value for `Authorization` made of the user info, or null. */
  readonly authorization: string | null;
  /** How long one sending may take, ms. */
  readonly timeoutMs: number;
  /** Spans that may wait; more are dropped and counted. */
  readonly queueSize: number;
  /** How long a span waits for company, ms, and how many are sent at once at most. */
  readonly delayMs: number;
  readonly batchSize: number;
}

/** `http://collector:4318`, with `?timeout=…&max_queue_size=…&scheduled_delay=…&max_export_batch_size=…` as files of Pingap have them. @throws Wrong */
export function parseOtlpEndpoint(text: string): OtlpEndpoint {
  const question = text.indexOf('?');
  const server = parseServerUrl(question < 0 ? text : text.slice(0, question));
  const query = new URLSearchParams(question < 0 ? '' : text.slice(question + 1));
  // By convention a collector takes gRPC at 4317 and HTTP beside it.
  const at = server.port === GRPC_PORT ? server.authority.replace(/:\d+$/, `:${HTTP_PORT}`) : server.authority;
  return {
    url: `${server.protocol}://${at}${server.path}${server.path.endsWith('/v1/traces') ? '' : '/v1/traces'}`,
    authorization: server.authorization,
    timeoutMs: query.has('timeout') ? Math.max(1, parseDuration(query.get('timeout')!)) : 3_000,
    queueSize: countIn(query, 'max_queue_size', 2_048, 1_000_000),
    delayMs: query.has('scheduled_delay') ? parseDuration(query.get('scheduled_delay')!) : 5_000,
    batchSize: countIn(query, 'max_export_batch_size', 512, 10_000),
  };
}

export function otlpEndpoint(): Kind<OtlpEndpoint> {
  return scalar('URL', 'address such as http://localhost:4318', parseOtlpEndpoint, {
    format: ({ url }) => url,
    redact: (given) => given.replace(/\/\/.*@/s, '//***@'),
  });
}

/** A share such as `0.01` or `1%`. */
export function share(): Kind<number> {
  return scalar('SHARE', 'share from 0 to 1, or such as 5%', parseShare, { types: ['number'] });
}

/** @throws Wrong */
export function parseShare(text: string): number {
  const [, digits, percent] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? [];
  const value = digits === undefined ? Number.NaN : Number(digits) / (percent === '%' ? 100 : 1);
  if (!(value <= 1)) throw new Wrong('is no share', 'give a number from 0 to 1, such as 0.01 for one in a hundred');
  return value;
}

const GRPC_PORT = 4317;
const HTTP_PORT = 4318;

function countIn(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > max) throw new Wrong(`has a ${name} that is none`, `give a number from 1 to ${max}`, text);
  return n;
}
