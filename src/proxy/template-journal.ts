// HOT: begin() and finished() run once per request: what the template asks for is known at load, values go into one array, the line is one string.
import type { LineSink } from '../observe/lines.ts';
import { humanBytes, humanTime, jsonQuoted, quoted, redactedTarget, tenths, word } from '../observe/log-text.ts';
import { LOG_TAGS, type LogPart, type LogTag, type LogTemplate, type Place } from '../schema/log-template.ts';
import type { Notes } from '../http/exchange.ts';
import { type Head, type HeaderList, type Peer, REMOVED, type RequestHead, type ResponseHead, STRIDE } from '../http/head.ts';
import { COOKIE, idOfName, REFERER, TRACEPARENT, USER_AGENT, X_REQUEST_ID } from '../http/names.ts';
import { type Entry, type Journal, versionOf } from './journal.ts';

/** How a piece of a line is written where it stands. */
const TEXT = 0;
const QUOTED = 1;
const BARE = 2;
const JSON_QUOTED = 3;
const JSON_BARE = 4;
/** True or false in JSON. */
const JSON_FLAG = 5;
const PLACES: Record<Place, number> = { quoted: QUOTED, bare: BARE, 'json-quoted': JSON_QUOTED, 'json-bare': JSON_BARE };

/** Where a value comes from: a slot that was filled on the way, what a plugin noted, or a number of the end. */
const SLOT = -1;
const NOTE = -2;

/** One piece of a line. */
interface Op {
  readonly place: number;
  /** The text itself, of a TEXT; the name, of a NOTE. */
  readonly text: string;
  /** What is written; SLOT = a value that was kept. */
  readonly tag: LogTag | typeof SLOT | typeof NOTE;
  readonly slot: number;
  readonly human: boolean;
}

/** What is kept of a head. */
interface Keep {
  readonly slot: number;
  readonly from: LogTag | 'field' | 'cookie';
  readonly id: number;
  /** Lower case, but for cookies. */
  readonly name: string;
}

/** Lines of any form that a template says. */
export class TemplateJournal implements Journal {
  readonly #sink: LineSink;
  readonly #wall: () => number;
  readonly #ops: readonly Op[];
  /** From the head as it came, as it goes on, and of the answer. */
  readonly #atBegin: readonly Keep[];
  readonly #atChange: readonly Keep[];
  readonly #atAnswer: readonly Keep[];
  readonly #slots: number;
  readonly #tellsTime: boolean;
  #processing = 0;
  #second = -1;
  #utc = '';
  #local = '';
  #zone = '';

  constructor(template: LogTemplate, sink: LineSink, wall: () => number) {
    this.#sink = sink;
    this.#wall = wall;
    const plan = planOf(template.parts);
    this.#ops = plan.ops;
    this.#atBegin = plan.atBegin;
    this.#atChange = plan.atBegin.filter(({ from }) => CHANGED.has(from));
    this.#atAnswer = plan.atAnswer;
    this.#slots = plan.slots;
    this.#tellsTime = plan.ops.some(({ tag }) => tag === 'when' || tag === 'when_utc_iso' || tag === 'when_unix');
  }

  begin(head: RequestHead | null, notes: Notes, peer: Peer): Entry {
    const values: string[] = [];
    for (let i = 0; i < this.#slots; i++) values.push('');
    const keeps = this.#atBegin;
    for (let i = 0; i < keeps.length; i++) {
      const keep = keeps[i]!;
      if (head !== null) values[keep.slot] = requestValue(head, keep);
      else if (keep.from === 'client_ip') values[keep.slot] = peer.address;
    }
    this.#processing++;
    return new TemplateEntry(this, notes, peer, values, this.#processing, peer.requests);
  }

  /** @internal */
  changed(head: RequestHead, values: string[]): void {
    const keeps = this.#atChange;
    for (let i = 0; i < keeps.length; i++) values[keeps[i]!.slot] = requestValue(head, keeps[i]!);
  }

  /** @internal */
  answered(head: ResponseHead, values: string[]): void {
    const keeps = this.#atAnswer;
    for (let i = 0; i < keeps.length; i++) values[keeps[i]!.slot] = fieldOf(head, keeps[i]!.id, keeps[i]!.name);
  }

  /** @internal What the head did not say may be said by a trailer: `grpc-status`. */
  trailed(trailers: HeaderList, values: string[]): void {
    const keeps = this.#atAnswer;
    for (let i = 0; i < keeps.length; i++) {
      const { slot, name } = keeps[i]!;
      if (values[slot] !== '') continue;
      for (let t = 0; t < trailers.length; t += 2)
        if (trailers[t]!.toLowerCase() === name) values[slot] = SECRET_FIELDS.has(name) ? '***' : trailers[t + 1]!;
    }
  }

  /** @internal */
  finished(entry: TemplateEntry, end: End): void {
    this.#processing--;
    this.#sink.write(this.#line(entry, end));
  }

  #line(entry: TemplateEntry, end: End): string {
    const ops = this.#ops;
    const wallMs = this.#tellsTime ? this.#wall() : 0;
    let line = '';
    for (let i = 0; i < ops.length; i++) {
      const op = ops[i]!;
      const { place } = op;
      if (place === TEXT) {
        line += op.text;
        continue;
      }
      const { tag } = op;
      const value =
        tag === SLOT ? entry.values[op.slot]! : tag === NOTE ? (entry.notes.noted?.get(op.text) ?? '') : this.#value(tag, entry, end, wallMs);
      if (typeof value === 'string') line += textAt(place, value);
      // What did not happen has no number.
      else if (value < 0) line += place === JSON_BARE ? 'null' : '-';
      else if (op.human) line += place === JSON_BARE ? `"${humanTime(value)}"` : humanTime(value);
      else line += value;
    }
    return `${line}\n`;
  }

  /** Text, or a number; a negative one = there is none. */
  #value(tag: LogTag, entry: TemplateEntry, end: End, wallMs: number): string | number {
    const { notes, peer } = entry;
    switch (tag) {
      case 'status':
        return end.status;
      case 'size':
        return notes.replyBytes;
      case 'size_human':
        return humanBytes(notes.replyBytes);
      case 'payload_size':
        return notes.requestBytes;
      case 'payload_size_human':
        return humanBytes(notes.requestBytes);
      case 'latency':
      case 'service_time':
        return tenths(end.nowMs - notes.startMs);
      case 'wait':
        return tenths(notes.waitedMs);
      case 'remote':
        return peer.address;
      case 'remote_port':
        return peer.port;
      case 'server_port':
        return peer.localPort;
      case 'scheme':
        return peer.scheme;
      case 'failure':
        return notes.failure === null ? '' : notes.failure.code;
      case 'when_utc_iso':
        return this.#time(wallMs, true);
      case 'when':
        return this.#time(wallMs, false);
      case 'when_unix':
        return Math.floor(wallMs);
      case 'location':
        return end.location;
      case 'upstream':
        return end.upstream;
      case 'endpoint':
        return notes.endpoint;
      case 'agent':
        return notes.agent;
      case 'attempts':
        return notes.attempts;
      case 'tries':
        return notes.tries;
      case 'processing':
        return entry.processing;
      case 'connection_id':
        return peer.connection;
      case 'connection_time':
        return tenths(end.nowMs - peer.openedMs);
      case 'connection_reused':
        return entry.request > 1 ? 'true' : 'false';
      case 'tls_version':
        return peer.tlsVersion;
      case 'tls_cipher':
        return peer.tlsCipher;
      case 'tls_handshake_time':
        return happened(peer.handshakeMs);
      case 'tls_client_subject':
        return peer.certificate?.subject ?? '';
      case 'tls_client_cn':
        return peer.certificate?.commonName ?? '';
      case 'tls_client_names':
        return peer.certificate?.names.join(', ') ?? '';
      case 'tls_client_issuer':
        return peer.certificate?.issuer ?? '';
      case 'tls_client_serial':
        return peer.certificate?.serial ?? '';
      case 'tls_client_fingerprint':
        return peer.certificate?.fingerprint ?? '';
      case 'upstream_addr':
        return notes.address;
      case 'upstream_status':
        return entry.upstreamStatus === 0 ? -1 : entry.upstreamStatus;
      case 'upstream_reused':
        return notes.dispatchedMs === 0 ? '' : notes.reused ? 'true' : 'false';
      case 'upstream_connected':
        return notes.connections === 0 ? -1 : notes.connections;
      case 'upstream_connect_time':
        return happened(notes.connectMs);
      case 'upstream_tcp_connect_time':
        return happened(notes.connectMs - notes.connectTlsMs);
      case 'upstream_tls_handshake_time':
        return happened(notes.connectTlsMs);
      case 'upstream_connection_time':
        return notes.connectionMs === 0 ? -1 : tenths(end.nowMs - notes.connectionMs);
      case 'upstream_processing_time':
        return notes.firstByteMs === 0 ? -1 : tenths(Math.max(0, notes.firstByteMs - notes.dispatchedMs - notes.connectMs));
      case 'upstream_response_time':
        return notes.firstByteMs === 0 ? -1 : tenths(end.nowMs - notes.firstByteMs);
      default: {
        // What plugins note under the names that Pingap has for it.
        const noted = notes.noted?.get(tag);
        return typeof noted === 'number' ? noted : -1;
      }
    }
  }

  /** `2026-01-02T03:04:05.678Z`, or the same in local time with its offset. A second's text is made once. */
  #time(ms: number, utc: boolean): string {
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#utc = new Date(second * 1000).toISOString().slice(0, 20);
      const offset = -new Date(second * 1000).getTimezoneOffset();
      this.#local = new Date((second + offset * 60) * 1000).toISOString().slice(0, 20);
      const two = (n: number): string => String(Math.floor(Math.abs(n))).padStart(2, '0');
      this.#zone = `${offset < 0 ? '-' : '+'}${two(offset / 60)}:${two(offset % 60)}`;
    }
    const rest = Math.floor(ms) - second * 1000;
    const millis = rest > 99 ? `${rest}` : rest > 9 ? `0${rest}` : `00${rest}`;
    return utc ? `${this.#utc}${millis}Z` : `${this.#local}${millis}${this.#zone}`;
  }
}

/** What is known at the end. */
interface End {
  readonly status: number;
  readonly nowMs: number;
  readonly location: string;
  readonly upstream: string;
}

class TemplateEntry implements Entry {
  readonly #journal: TemplateJournal;
  readonly notes: Notes;
  readonly peer: Peer;
  readonly values: string[];
  readonly processing: number;
  /** Its number on its connection. */
  readonly request: number;
  upstreamStatus = 0;

  constructor(journal: TemplateJournal, notes: Notes, peer: Peer, values: string[], processing: number, request: number) {
    this.#journal = journal;
    this.notes = notes;
    this.peer = peer;
    this.values = values;
    this.processing = processing;
    this.request = request;
  }

  changed(head: RequestHead): void {
    this.#journal.changed(head, this.values);
  }

  sent(): void {}

  answered(head: ResponseHead): void {
    // An answer of ours follows a failure.
    if (this.notes.failure === null) this.upstreamStatus = head.status;
    this.#journal.answered(head, this.values);
  }

  passed(head: ResponseHead): void {
    this.#journal.answered(head, this.values);
  }

  trailed(trailers: HeaderList): void {
    this.#journal.trailed(trailers, this.values);
  }

  finished(status: number, nowMs: number, location: string, upstream: string): void {
    this.#journal.finished(this, { status, nowMs, location, upstream });
  }
}

function happened(ms: number): number {
  return ms > 0 ? tenths(ms) : -1;
}

function textAt(place: number, value: string): string {
  switch (place) {
    case QUOTED:
      return value === '' ? '-' : quoted(value);
    case BARE:
      return word(value);
    case JSON_QUOTED:
      return value === '' ? '-' : jsonQuoted(value);
    case JSON_FLAG:
      return value === '' ? 'null' : value;
    default:
      return value === '' ? 'null' : `"${jsonQuoted(value)}"`;
  }
}

/** Tags whose value is taken from a head, since heads are scratch. */
const KEPT: ReadonlySet<LogTag> = new Set<LogTag>([
  'method',
  'uri',
  'path',
  'query',
  'original_uri',
  'original_path',
  'original_query',
  'host',
  'proto',
  'client_ip',
  'referer',
  'user_agent',
  'request_id',
  'trace',
]);
/** Those that are as they were when the request went on. */
const CHANGED: ReadonlySet<Keep['from']> = new Set<Keep['from']>(['uri', 'path', 'query', 'request_id']);
/** Fields that are secrets: what is logged is that there was one. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'slime-app-password',
  'slime-agent-token',
  'windlass-token',
  'x-api-key',
]);

interface Plan {
  readonly ops: Op[];
  readonly atBegin: Keep[];
  readonly atAnswer: Keep[];
  slots: number;
}

function planOf(parts: readonly LogPart[]): Plan {
  const plan: Plan = { ops: [], atBegin: [], atAnswer: [], slots: 0 };
  for (const part of parts) {
    if (part.kind === 'text') {
      plan.ops.push({ place: TEXT, text: part.text, tag: SLOT, slot: 0, human: false });
      continue;
    }
    if (part.kind === 'note') {
      plan.ops.push({ place: PLACES[part.place], text: part.name, tag: NOTE, slot: 0, human: false });
      continue;
    }
    const isTag = part.kind === 'tag';
    const place = isTag && LOG_TAGS[part.tag].type === 'flag' && part.place === 'json-bare' ? JSON_FLAG : PLACES[part.place];
    if (isTag && !KEPT.has(part.tag)) {
      plan.ops.push({ place, text: '', tag: part.tag, slot: 0, human: part.human });
      continue;
    }
    const slot = plan.slots++;
    plan.ops.push({ place, text: '', tag: SLOT, slot, human: false });
    const keeps = part.kind === 'reply' ? plan.atAnswer : plan.atBegin;
    if (part.kind === 'tag') keeps.push({ slot, from: part.tag, id: 0, name: '' });
    else if (part.kind === 'cookie') keeps.push({ slot, from: 'cookie', id: COOKIE, name: part.name });
    else keeps.push({ slot, from: 'field', id: idOfName(part.name), name: part.name });
  }
  return plan;
}

function requestValue(head: RequestHead, keep: Keep): string {
  switch (keep.from) {
    case 'method':
      return head.method;
    case 'uri':
      return redactedTarget(head.target);
    case 'path':
      return head.path;
    case 'query':
      return queryOf(head.target);
    case 'original_uri':
      return redactedTarget(originalTarget(head));
    case 'original_path':
      return originalTarget(head).split('?', 1)[0]!;
    case 'original_query':
      return queryOf(originalTarget(head));
    case 'host':
      return hostOf(head.authority);
    case 'proto':
      return `HTTP/${versionOf(head, head.peer)}`;
    case 'client_ip':
      return head.client;
    case 'referer':
      return withoutUserInfo(redactedTarget(head.value(REFERER)));
    case 'user_agent':
      return head.value(USER_AGENT);
    case 'request_id':
      return fieldOf(head, X_REQUEST_ID, 'x-request-id');
    case 'trace':
      return fieldOf(head, TRACEPARENT, 'traceparent').split('-')[1] ?? '';
    case 'cookie':
      return cookieOf(head, keep.name);
    default:
      return fieldOf(head, keep.id, keep.name);
  }
}

/** Hardly any has one. */
function withoutUserInfo(referer: string): string {
  return referer.includes('@') ? referer.replace(/^([a-z]+:\/\/)[^/?#\s@]*@/i, '$1***@') : referer;
}

function originalTarget(head: RequestHead): string {
  return head.bytes.latin1Slice(head.targetStart, head.targetEnd);
}

function queryOf(target: string): string {
  const at = target.indexOf('?');
  return at < 0 ? '' : redactedTarget(target.slice(at)).slice(1);
}

/** Without the port. */
function hostOf(authority: string): string {
  const colon = authority.lastIndexOf(':');
  return colon > authority.lastIndexOf(']') ? authority.slice(0, colon) : authority;
}

/** The values of a field, joined; what was added counts, what was removed does not. */
function fieldOf(head: Head, id: number, name: string): string {
  const { fields, count, bytes, tail } = head;
  let found = '';
  if (id === 0 || head.first[id] !== 0) {
    for (let i = id === 0 ? 0 : head.first[id]! - 1; i < count; i++) {
      const f = i * STRIDE;
      if (id === 0 ? (fields[f + 4]! & REMOVED) !== 0 || !head.isNamed(f, name) : fields[f + 4] !== id) continue;
      const value = bytes.latin1Slice(fields[f + 2]!, fields[f + 3]!);
      found = found === '' ? value : `${found}, ${value}`;
    }
  }
  if (tail !== '') found = withAdded(tail, name, found);
  return found !== '' && SECRET_FIELDS.has(name) ? '***' : found;
}

/** Fields that were added are text. */
function withAdded(tail: string, name: string, before: string): string {
  let found = before;
  for (let from = 0; from < tail.length;) {
    const end = tail.indexOf('\r\n', from);
    const colon = tail.indexOf(':', from);
    if (colon - from === name.length && tail.slice(from, colon).toLowerCase() === name) {
      const value = tail.slice(colon + 2, end);
      found = found === '' ? value : `${found}, ${value}`;
    }
    from = end + 2;
  }
  return found;
}

function cookieOf(head: RequestHead, name: string): string {
  for (let i = head.first[COOKIE]! - 1; i >= 0 && i < head.count; i++) {
    if (head.fields[i * STRIDE + 4] !== COOKIE) continue;
    const f = i * STRIDE;
    for (const pair of head.bytes.latin1Slice(head.fields[f + 2]!, head.fields[f + 3]!).split(';')) {
      const text = pair.trim();
      if (text.startsWith(name) && text[name.length] === '=') return text.slice(name.length + 1);
    }
  }
  return '';
}
