import { nearest } from './nearest.ts';
import { Wrong } from './wrong.ts';

/** What a tag stands for. `text` is escaped; the others stand bare in JSON. A `time` is in ms, and exists as NAME_human, too. */
export interface LogTagInfo {
  readonly type: 'text' | 'number' | 'flag' | 'time';
  readonly says: string;
}

function time(says: string): LogTagInfo {
  return { type: 'time', says };
}

/** Every tag, by the name it has in our own examples. docs/access-log.md shows this table. */
export const LOG_TAGS = {
  // the request
  method: { type: 'text', says: 'method' },
  uri: { type: 'text', says: 'target as it went to the upstream, query included; secrets in the query are `***`' },
  path: { type: 'text', says: 'the same without the query' },
  query: { type: 'text', says: 'its query alone' },
  original_uri: { type: 'text', says: 'target as the client wrote it' },
  original_path: { type: 'text', says: 'the same without the query' },
  original_query: { type: 'text', says: 'its query alone' },
  host: { type: 'text', says: 'host that was asked for, without the port' },
  scheme: { type: 'text', says: '`http` or `https`, between the peer and us' },
  proto: { type: 'text', says: '`HTTP/1.1`, `HTTP/1.0` or `HTTP/2.0`' },
  remote: { type: 'text', says: "the peer's address (what a PROXY header says, where one is expected)" },
  remote_port: { type: 'number', says: 'its port' },
  server_port: { type: 'number', says: 'port of ours that was dialled' },
  client_ip: { type: 'text', says: "the client's address: behind trusted proxies what they say, else the peer's" },
  referer: { type: 'text', says: '`Referer`; secrets in its query are `***`' },
  user_agent: { type: 'text', says: '`User-Agent`' },
  request_id: { type: 'text', says: '`X-Request-Id`, as it went to the upstream' },
  trace: { type: 'text', says: 'trace id of `traceparent`' },
  payload_size: { type: 'number', says: 'bytes of the request body' },
  payload_size_human: { type: 'text', says: 'the same as `1.2KB`' },
  // the answer
  status: { type: 'number', says: 'status; 499 for a client that left before the answer was complete' },
  size: { type: 'number', says: "bytes of the answer's body" },
  size_human: { type: 'text', says: 'the same as `1.2KB`' },
  failure: { type: 'text', says: 'failure code (see errors.md); absent when all went well' },
  // when
  when: { type: 'text', says: 'end of the exchange, local time: `2026-01-02T03:04:05.678+01:00`' },
  when_utc_iso: { type: 'text', says: 'the same in UTC: `2026-01-02T02:04:05.678Z`' },
  when_unix: { type: 'number', says: 'the same as milliseconds since 1970' },
  latency: time('from the first byte of the request to the last of the answer'),
  service_time: time('the same'),
  wait: time('wait for a slot'),
  // who answered
  location: { type: 'text', says: 'location' },
  upstream: { type: 'text', says: 'upstream' },
  endpoint: { type: 'text', says: 'endpoint that answered, or failed last' },
  agent: { type: 'text', says: 'id of the agent behind it' },
  attempts: { type: 'number', says: 'attempts' },
  tries: { type: 'text', says: 'attempts that failed and were followed by another: `endpoint:code`, separated by commas' },
  processing: { type: 'number', says: 'requests that this server was busy with when it came, itself included' },
  // the connection of the client
  connection_id: { type: 'number', says: 'number of the connection at its listener' },
  connection_time: time('age of the connection'),
  connection_reused: { type: 'flag', says: '`true` when it is not the first request on its connection' },
  tls_version: { type: 'text', says: '`TLSv1.3`; absent without TLS' },
  tls_cipher: { type: 'text', says: 'cipher' },
  tls_handshake_time: time('what the TLS handshake took'),
  tls_client_subject: { type: 'text', says: 'who the client is by its certificate, such as `CN=alice,O=Example`; absent without one' },
  tls_client_cn: { type: 'text', says: 'the common name in it' },
  tls_client_names: { type: 'text', says: 'its other names: `DNS:a.example, URI:spiffe://example/a`' },
  tls_client_issuer: { type: 'text', says: 'who has signed it' },
  tls_client_serial: { type: 'text', says: 'its number, hexadecimal' },
  tls_client_fingerprint: { type: 'text', says: 'its SHA-256, hexadecimal' },
  // the connection to the upstream
  upstream_addr: { type: 'text', says: 'its address, or the id of the agent' },
  upstream_status: { type: 'number', says: 'status that the upstream answered; absent when the answer is ours' },
  upstream_reused: { type: 'flag', says: '`true` when the connection had been used before' },
  upstream_connected: { type: 'number', says: 'connections to that address that were open' },
  upstream_connect_time: time('TCP and TLS together; absent on a connection that was there'),
  upstream_tcp_connect_time: time('TCP alone'),
  upstream_tls_handshake_time: time('TLS alone'),
  upstream_connection_time: time('age of the connection'),
  upstream_processing_time: time('from when the request could be sent to the head of the answer'),
  upstream_response_time: time('from the head of the answer to its end'),
  // what plugins will do
  compression_time: time('how long zlib was at work on the answer (compression)'),
  compression_ratio: { type: 'number', says: 'bytes of the answer before compression, divided by those after it' },
  cache_lookup_time: time('absent: a look into memory takes microseconds'),
  cache_lock_time: time('how long the request waited for another that fetched the same (cache)'),
} as const satisfies Record<string, LogTagInfo>;

export type LogTag = keyof typeof LOG_TAGS;

/** Earlier names, and those of the first Pingap. */
const ALIASES: ReadonlyMap<string, LogTag> = new Map([
  ['reused', 'upstream_reused'],
  ['upstream_address', 'upstream_addr'],
]);

/** Named formats: Pingap's four, and all that is known as one JSON object. */
export const LOG_FORMATS: ReadonlyMap<string, string> = new Map([
  ['tiny', '{method} {uri} {status} {size_human} - {latency}ms'],
  ['short', '{remote} {method} {uri} {proto} {status} {size_human} - {latency}ms'],
  ['common', '{remote} "{method} {uri} {proto}" {status} {size_human}'],
  ['combined', '{remote} "{method} {uri} {proto}" {status} {size_human} "{referer}" "{user_agent}"'],
  [
    'json',
    `{${(
      [
        ['time', 'when_utc_iso'],
        'client_ip',
        'remote',
        'method',
        'scheme',
        'host',
        'uri',
        'original_uri',
        'proto',
        'status',
        'size',
        'payload_size',
        'latency',
        'wait',
        'location',
        'upstream',
        'endpoint',
        'agent',
        'attempts',
        'tries',
        'failure',
        'upstream_status',
        'upstream_connect_time',
        'upstream_processing_time',
        'connection_id',
        'connection_reused',
        'tls_version',
        'referer',
        'user_agent',
        'request_id',
        'trace',
      ] as const
    )
      .map((one) => (typeof one === 'string' ? `"${one}":{${one}}` : `"${one[0]}":{${one[1]}}`))
      .join(',')}}`,
  ],
]);

/** How a value is written where it stands. */
export type Place =
  /** Between quotes: spaces may stay. */
  | 'quoted'
  /** On its own: what is read back by cutting at spaces. */
  | 'bare'
  /** In JSON, between quotes. */
  | 'json-quoted'
  /** In JSON, on its own: quotes are put around text, and null stands for nothing. */
  | 'json-bare';

/** A piece of a line. */
export type LogPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tag'; readonly tag: LogTag; readonly human: boolean; readonly place: Place }
  /** Names in lower case, but for cookies and notes. */
  | { readonly kind: 'cookie' | 'request' | 'reply' | 'note'; readonly name: string; readonly place: Place };

/** A template, understood. */
export interface LogTemplate {
  readonly parts: readonly LogPart[];
}

/** Characters of a template. Longer ones are slips. */
const TEMPLATE_CHARS = 16 * 1024;
/** A brace, a sign, a name: anything else in braces is text. */
const TAG = /\{([~><$:+]?)([!#$%&'*+\-.^_`|~\dA-Za-z]+)\}/g;

/** A named format, or a template; `{$NAME}` is what `env` and `hostname` say now. @throws Wrong for tags that are not known, and JSON that would be none */
export function parseLogTemplate(given: string, env: Readonly<Record<string, string | undefined>>, hostname: string): LogTemplate {
  const text = LOG_FORMATS.get(given) ?? given;
  if (text.length > TEMPLATE_CHARS) throw new Wrong('is too long', `use at most ${TEMPLATE_CHARS} characters`);
  // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
  if (/[\u0000-\u001f\u007f]/.test(text)) throw new Wrong('has control characters in it', 'a log line is one line: put it all in one');
  // One word without a tag is a slip in the name of a format, never a template.
  if (/^\w+$/.test(text)) {
    const near = nearest(text, LOG_FORMATS.keys());
    throw new Wrong(
      'is no named format',
      near === null ? `use ${[...LOG_FORMATS.keys()].join(', ')}, or a template with tags such as {uri}` : `did you mean ${near}?`,
    );
  }
  const isJson = /^\{\s*"/.test(text);
  const parts: LogPart[] = [];
  const quotes = new Quotes(isJson);
  let from = 0;
  let sample = '';
  const literal = (piece: string): void => {
    if (piece === '') return;
    quotes.pass(piece);
    sample += piece;
    const last = parts.at(-1);
    if (last?.kind === 'text') parts[parts.length - 1] = { kind: 'text', text: last.text + piece };
    else parts.push({ kind: 'text', text: piece });
  };
  for (const match of text.matchAll(TAG)) {
    literal(text.slice(from, match.index));
    from = match.index + match[0].length;
    const [whole, sign = '', name = ''] = match;
    if (sign === '$') {
      const value = name === 'hostname' ? hostname : (env[name] ?? '-');
      // It is ours, but in JSON it must not break anything either.
      literal(isJson ? (quotes.open ? JSON.stringify(value).slice(1, -1) : JSON.stringify(value)) : value.replaceAll(/[^ -~]/g, '?'));
      continue;
    }
    const place: Place = isJson ? (quotes.open ? 'json-quoted' : 'json-bare') : quotes.open ? 'quoted' : 'bare';
    sample += quotes.open ? 'x' : '0';
    if (sign === '~' || sign === '+') parts.push({ kind: sign === '~' ? 'cookie' : 'note', name, place });
    else if (sign === '>' || sign === '<') parts.push({ kind: sign === '>' ? 'request' : 'reply', name: name.toLowerCase(), place });
    else parts.push({ kind: 'tag', ...tagOf(name, whole), place });
  }
  literal(text.slice(from));
  if (parts.every((part) => part.kind === 'text')) throw new Wrong('has no tag in it', 'write tags such as {client_ip}, {uri} and {status}');
  if (isJson) checkJson(sample);
  return { parts };
}

function tagOf(name: string, whole: string): { readonly tag: LogTag; readonly human: boolean } {
  const plain = name.replaceAll('-', '_');
  const known = isLogTag(plain) ? plain : ALIASES.get(plain);
  if (known !== undefined) return { tag: known, human: false };
  const base = plain.replace(/_human$/, '');
  if (base !== plain && isLogTag(base) && LOG_TAGS[base].type === 'time') return { tag: base, human: true };
  // The longest first: a slip at the end of a long name is no short name.
  const near = nearest(
    plain,
    Object.keys(LOG_TAGS).toSorted((a, b) => b.length - a.length),
  );
  throw new Wrong('has a tag that is not known', near === null ? 'docs/access-log.md lists the tags' : `did you mean {${near}}?`, whole);
}

function isLogTag(name: string): name is LogTag {
  return Object.hasOwn(LOG_TAGS, name);
}

function checkJson(sample: string): void {
  try {
    JSON.parse(sample);
  } catch {
    throw new Wrong('begins as JSON and is none', 'check its quotes and commas; a tag outside quotes brings its own');
  }
}

/** Knows whether a place in a template is between double quotes. */
class Quotes {
  open = false;
  readonly #escapes: boolean;

  constructor(escapes: boolean) {
    this.#escapes = escapes;
  }

  pass(text: string): void {
    for (let i = 0; i < text.length; i++) {
      if (this.#escapes && this.open && text[i] === '\\') i++;
      else if (text[i] === '"') this.open = !this.open;
    }
  }
}
