import { redactedTarget } from '../../observe/log-text.ts';
import { isSecretField, withoutAddressSecrets } from '../../observe/secret-field.ts';
import { parseTraceparent } from '../../observe/trace.ts';
import type { TrafficItem, TrafficStory } from '../../admin/model.ts';
import type { Inspected } from '../../proxy/inspector.ts';
import { replayProblem } from '../../proxy/replay.ts';

type Fields = readonly (readonly [name: string, value: string])[];

/** What an operator sees of a secret. */
const HIDDEN = '********';

/** One line about an exchange. `idOf`: makes ids of numbers; `nowMs`: monotonic; `secret`: names of fields and parameters that hold secrets here. */
export function trafficItem(exchange: Inspected, idOf: (number: number) => string, nowMs: number, secret: ReadonlySet<string>): TrafficItem {
  const { notes, endMs } = exchange;
  const { came } = exchange;
  const { method, target } = requestLine(came);
  const { startMs, firstByteMs, waitedMs } = notes;
  return {
    id: idOf(exchange.number),
    atMs: exchange.wallMs,
    client: exchange.client,
    method,
    host: valueIn(came, HOST),
    target: redactedTarget(target, secret),
    protocol: exchange.http2 ? 'HTTP/2' : `HTTP/1.${exchange.minor}`,
    status: exchange.status,
    server: exchange.server,
    location: exchange.location,
    upstream: exchange.upstream,
    endpoint: notes.endpoint,
    agent: notes.agent,
    totalMs: tenths((endMs === 0 ? nowMs : endMs) - startMs),
    waitedMs: tenths(waitedMs),
    firstByteMs: firstByteMs === 0 ? 0 : tenths(firstByteMs - startMs),
    requestBytes: notes.requestBytes,
    replyBytes: notes.replyBytes,
    attempts: notes.attempts,
    failure: notes.failure?.code ?? '',
    traceId: notes.trace?.traceId ?? parseTraceparent(valueIn(came, TRACEPARENT))?.traceId ?? '',
    requestId: valueIn(exchange.sentOn, REQUEST_ID) || valueIn(exchange.reply, REQUEST_ID) || valueIn(came, REQUEST_ID),
    replayOf: exchange.replayOf === 0 ? '' : idOf(exchange.replayOf),
  };
}

/** All about an exchange, its secrets hidden. */
export function trafficStory(exchange: Inspected, idOf: (number: number) => string, nowMs: number, secret: ReadonlySet<string>): TrafficStory {
  const item = trafficItem(exchange, idOf, nowMs, secret);
  const came = fieldsOf(exchange.came);
  const why = exchange.isOver ? replayProblem(exchange) : 'it has not ended yet';
  return {
    ...item,
    spans: spansOf(exchange, item.totalMs),
    requestHeaders: shown(came, secret),
    sentHeaders: shown(fieldsOf(exchange.sentOn), secret),
    replyHeaders: shown(fieldsOf(exchange.reply), secret),
    tries: exchange.notes.tries === '' ? [] : exchange.notes.tries.split(','),
    failureDetail: exchange.notes.failure?.detail ?? '',
    replay: { possible: why === '', why },
    curl: exchange.came === '' ? '' : curlLine(exchange, item, shown(came, secret)),
  };
}

type Spans = TrafficStory['spans'];

/** Where the time went. Nested ones lie within the ones before them. */
function spansOf({ notes, endMs }: Inspected, totalMs: number): Spans {
  const spans: Spans[number][] = [];
  const add = (name: Spans[number]['name'], startMs: number, ms: number, detail: string): void => {
    if (ms >= 0) spans.push({ name, startMs: tenths(startMs), ms: tenths(ms), detail });
  };
  const { startMs, waitedMs, dispatchedMs, firstByteMs, connectMs, connectTlsMs, times, plugins } = notes;
  const end = endMs === 0 ? totalMs : endMs - startMs;
  const sent = dispatchedMs === 0 ? end : dispatchedMs - startMs;
  const ours = Math.max(0, sent - waitedMs);
  add('hub', 0, ours, notes.attempts > 1 ? `${notes.attempts} attempts` : '');
  if (plugins !== null) {
    const from = plugins.fromMs - startMs;
    add('plugins', from, (plugins.toMs === 0 ? end : plugins.toMs - startMs) - from, plugins.names);
  }
  if (waitedMs > 0) add('queue', ours, waitedMs, notes.failure?.code === 'queue_timeout' ? 'no slot became free' : 'for a slot');
  if (dispatchedMs === 0) return spans;
  const headAt = firstByteMs === 0 ? end : firstByteMs - startMs;
  const failure = firstByteMs === 0 ? (notes.failure?.code ?? 'no answer yet') : '';
  if (notes.agent === '') {
    if (connectMs > 0) {
      add('connect', sent, connectMs - connectTlsMs, notes.address);
      if (connectTlsMs > 0) add('tls', sent + connectMs - connectTlsMs, connectTlsMs, '');
    }
    add('upstream', sent + connectMs, headAt - sent - connectMs, failure === '' ? notes.endpoint : failure);
  } else {
    add('tunnel', sent, headAt - sent, failure === '' ? `agent ${notes.agent}` : failure);
    if (times !== null && times.told && firstByteMs > 0) {
      const at = sent + Math.max(0, headAt - sent - times.headMs) / 2;
      add('agent', at, times.headMs, notes.agent);
      if (times.connectMs > 0) {
        add('connect', at, times.connectMs - times.connectTlsMs, '');
        if (times.connectTlsMs > 0) add('tls', at + times.connectMs - times.connectTlsMs, times.connectTlsMs, '');
      }
      add('upstream', at + times.connectMs, times.headMs - times.connectMs, '');
    }
  }
  if (firstByteMs > 0) add('answer', headAt, end - headAt, `${notes.replyBytes} bytes`);
  return spans;
}

/** The request as a command that anybody can run. What was secret must be put in again. */
function curlLine({ scheme }: Inspected, { method, host, target }: TrafficItem, fields: Fields): string {
  const parts = ['curl', '-i'];
  if (/[[\]{}]/.test(target)) parts.push('-g');
  if (/\/\.\.?(?:\/|$)/.test(target.split('?', 1)[0]!)) parts.push('--path-as-is');
  if (method === 'HEAD') parts.push('-I');
  else if (method !== 'GET') parts.push('-X', quotedWord(method));
  for (const [name, value] of fields) {
    const lower = name.toLowerCase();
    if (LEFT_TO_CURL.has(lower)) continue;
    // A field without a value has a semicolon.
    parts.push('-H', quotedWord(value === '' ? `${name};` : `${name}: ${value}`));
  }
  parts.push(quotedWord(`${scheme}://${host}${target.startsWith('/') ? target : '/'}`));
  return parts.join(' ');
}

const LEFT_TO_CURL: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'te',
  'upgrade',
  'expect',
  'http2-settings',
]);

/** One word of a shell's line, whatever is in it. */
function quotedWord(text: string): string {
  if (/^[\w./:=@%+,-]+$/.test(text)) return text;
  if (/^[\x20-\x7e]*$/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  // oxlint-disable-next-line no-control-regex -- control characters are what is being escaped
  return `$'${text.replace(/[\\']/g, '\\$&').replace(/[\x00-\x1f\x7f-\xff]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`;
}

/** Of the first line of a request; empty where there is none. */
function requestLine(came: string): { readonly method: string; readonly target: string } {
  const methodEnd = came.indexOf(' ');
  const targetEnd = came.indexOf(' ', methodEnd + 1);
  return { method: came.slice(0, Math.max(0, methodEnd)), target: came.slice(methodEnd + 1, Math.max(0, targetEnd)) };
}

/** Lists ask for these of every request: without making fields of all that is there. */
const HOST = /^host:[ \t]*([^\r\n]*)/im;
const TRACEPARENT = /^traceparent:[ \t]*([^\r\n]*)/im;
const REQUEST_ID = /^x-request-id:[ \t]*([^\r\n]*)/im;

function valueIn(head: string, field: RegExp): string {
  return field.exec(head)?.[1]!.trimEnd() ?? '';
}

/** The fields of a head that a parser of ours has let through, or that we have written. */
function fieldsOf(text: string): Fields {
  const fields: [string, string][] = [];
  for (const one of text.split(/\r?\n/).slice(1)) {
    const colon = one.indexOf(':');
    if (colon > 0) fields.push([one.slice(0, colon), one.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')]);
  }
  return fields;
}

function shown(fields: Fields, secret: ReadonlySet<string>): Fields {
  return fields.map(([name, value]) => {
    if (value === '') return [name, value];
    if (secret.has(name.toLowerCase()) || isSecretField(name, value)) return [name, HIDDEN];
    return [name, withoutAddressSecrets(value, secret)];
  });
}

function tenths(ms: number): number {
  return Math.round(Math.max(0, ms) * 10) / 10;
}
