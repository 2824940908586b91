// HOT: begin() runs per request while traces are on; what is not recorded costs it a look at one field.
import { redactedTarget } from '../observe/log-text.ts';
import { type AttributeValue, CLIENT, INTERNAL, SERVER, type Span, type Spans, type SpanSink } from '../observe/span.ts';
import { type Trace, traceparentOf, type TraceSource } from '../observe/trace.ts';
import { AgentTimes, type Notes } from '../http/exchange.ts';
import type { Peer, RequestHead } from '../http/head.ts';
import { TRACEPARENT, TRACESTATE, USER_AGENT } from '../http/names.ts';

export interface TracerOptions {
  /** What all its spans of whole requests say beside what they are about. */
  readonly facts: Attributes;
  /** Agents that answer are asked how long it took them. */
  readonly asksAgents: boolean;
}

/** Makes spans of the requests of a server that are recorded: the whole, the wait in the queue, the sending, connecting, and what its agent says of itself. */
export class Tracer {
  readonly #source: TraceSource;
  readonly #sink: SpanSink;
  readonly #wall: () => number;
  readonly #options: TracerOptions;

  constructor(source: TraceSource, sink: SpanSink, wall: () => number, options: TracerOptions) {
    this.#source = source;
    this.#sink = sink;
    this.#wall = wall;
    this.#options = options;
  }

  /** Recorded: the next hop is told of a span of ours. Else its fields stay as they are. */
  begin(head: RequestHead, notes: Notes): void {
    const parent = head.has(TRACEPARENT) ? (head.get('traceparent') ?? '') : '';
    const trace = this.#source.begin(parent, parent === '' ? '' : (head.get('tracestate') ?? ''));
    if (trace === null) return;
    notes.trace = new Recorded(trace, head);
    if (this.#options.asksAgents) notes.times ??= new AgentTimes();
    head.remove(TRACEPARENT);
    head.tail += `traceparent: ${traceparentOf(trace)}\r\n`;
    // Whose parent we do not know, his state is nobody's.
    if (trace.parentId === '' && head.has(TRACESTATE)) head.remove(TRACESTATE);
  }

  /** The head as it goes to an endpoint. */
  sent(head: RequestHead, trace: Trace): void {
    trace.requestId = head.get('x-request-id') ?? '';
  }

  /** Its exchange is over. `status`: as logged. */
  finished(notes: Notes, trace: Trace, status: number, nowMs: number, location: string, upstream: string): void {
    if (!(trace instanceof Recorded) || trace.ended !== null) return;
    trace.end({ notes, status, endMs: nowMs, wallMs: this.#wall() - nowMs, location, upstream, facts: this.#options.facts, source: this.#source });
    this.#sink.add(trace);
  }
}

/** What is known of a request when it is over. */
interface Ended {
  readonly notes: Notes;
  readonly status: number;
  readonly endMs: number;
  /** Between the monotonic clock and that on the wall. */
  readonly wallMs: number;
  readonly location: string;
  readonly upstream: string;
  readonly facts: Attributes;
  readonly source: TraceSource;
}

/** A request that is recorded, with what spans need of its head, which is gone when it ends. */
class Recorded implements Trace, Spans {
  readonly traceId: string;
  readonly parentId: string;
  readonly spanId: string;
  readonly sentId: string;
  readonly state: string;
  readonly flags: number;
  requestId = '';
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly client: string;
  readonly userAgent: string;
  readonly peer: Peer;
  ended: Ended | null = null;
  count = 0;

  constructor(trace: Trace, head: RequestHead) {
    this.traceId = trace.traceId;
    this.parentId = trace.parentId;
    this.spanId = trace.spanId;
    this.sentId = trace.sentId;
    this.state = trace.state;
    this.flags = trace.flags;
    this.method = head.method;
    this.target = head.target;
    this.authority = head.authority;
    this.client = head.client;
    this.userAgent = head.value(USER_AGENT);
    this.peer = head.peer;
  }

  end(ended: Ended): void {
    this.ended = ended;
    this.count = this.#countOf(ended.notes);
  }

  #countOf(notes: Notes): number {
    const before = (notes.plugins === null ? 0 : 1) + (notes.waitedMs > 0 ? 1 : 0);
    if (notes.dispatchedMs === 0) return 1 + before;
    const connect = notes.connectMs === 0 ? 0 : notes.connectTlsMs > 0 ? 2 : 1;
    return 2 + before + connect + (!this.#tells(notes) ? 0 : notes.times!.connectMs > 0 ? 3 : 2);
  }

  /** Does its agent tell what we are to show? One that sends spans of its own says more than we know. */
  #tells({ times, firstByteMs }: Notes): boolean {
    return times !== null && times.told && !times.traced && firstByteMs > 0;
  }

  make(): readonly Span[] {
    const { traceId, state, flags, method: asked } = this;
    const { notes, status, endMs: nowMs, wallMs, location, upstream, source } = this.ended!;
    const failure = notes.failure?.code ?? null;
    const all: Span[] = [];
    const add = ({ spanId, parentId, name, kind, startMs, endMs, attributes, error }: Piece): void => {
      all.push({ traceId, spanId, parentId, state, flags, name, kind, startMs: startMs + wallMs, endMs: endMs + wallMs, attributes, error });
    };
    const method = METHODS.has(asked) ? asked : '_OTHER';
    const shown = method === '_OTHER' ? 'HTTP' : method;
    add({
      spanId: this.spanId,
      parentId: this.parentId,
      name: location === '' ? shown : `${shown} ${location}`,
      kind: SERVER,
      startMs: notes.startMs,
      endMs: nowMs,
      attributes: serverAttributes(this, this.ended!, method),
      error: failure ?? (status >= 500 ? String(status) : null),
    });
    if (notes.plugins !== null) {
      const { fromMs, toMs, names } = notes.plugins;
      add({
        spanId: source.spanId(),
        parentId: this.spanId,
        name: 'plugins',
        kind: INTERNAL,
        startMs: fromMs,
        endMs: toMs === 0 ? nowMs : toMs,
        attributes: { 'windlass.plugins': names.split(', ') },
        error: toMs === 0 ? failure : null,
      });
    }
    const queuedMs = notes.waitedMs;
    if (queuedMs > 0) {
      const endMs = notes.dispatchedMs > 0 ? notes.dispatchedMs : nowMs;
      add({
        spanId: source.spanId(),
        parentId: this.spanId,
        name: 'queue',
        kind: INTERNAL,
        startMs: endMs - queuedMs,
        endMs,
        attributes: { 'windlass.upstream': upstream },
        error: notes.dispatchedMs > 0 ? null : failure,
      });
    }
    if (notes.dispatchedMs === 0) return all;
    add({
      spanId: this.sentId,
      parentId: this.spanId,
      name: notes.agent === '' ? shown : `${shown} agent`,
      kind: CLIENT,
      startMs: notes.dispatchedMs,
      endMs: nowMs,
      attributes: sentAttributes(method, notes, this, status),
      error: failure ?? (notes.firstByteMs > 0 && status >= 400 ? String(status) : null),
    });
    const part = (name: string, parentId: string, startMs: number, ms: number): string => {
      const spanId = source.spanId();
      add({ spanId, parentId, name, kind: INTERNAL, startMs, endMs: startMs + ms, attributes: {}, error: null });
      return spanId;
    };
    if (notes.connectMs > 0) {
      const id = part('connect', this.sentId, notes.dispatchedMs, notes.connectMs);
      if (notes.connectTlsMs > 0) part('tls', id, notes.dispatchedMs + notes.connectMs - notes.connectTlsMs, notes.connectTlsMs);
    }
    if (!this.#tells(notes)) return all;
    const times = notes.times!;
    const atAgentMs = notes.dispatchedMs + Math.max(0, notes.firstByteMs - notes.dispatchedMs - times.headMs) / 2;
    const agent = part('agent', this.sentId, atAgentMs, times.headMs);
    if (times.connectMs > 0) part('connect', agent, atAgentMs, times.connectMs);
    part('upstream', agent, atAgentMs + times.connectMs, Math.max(0, times.headMs - times.connectMs));
    return all;
  }
}

/** Those that a name may be made of: others are whatever a client likes. */
const METHODS: ReadonlySet<string> = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE']);

type Attributes = Readonly<Record<string, AttributeValue>>;
/** While they are gathered. */
type Gathered = Record<string, AttributeValue>;
type Piece = Pick<Span, 'spanId' | 'parentId' | 'name' | 'kind' | 'startMs' | 'endMs' | 'attributes' | 'error'>;

/** By the names of OpenTelemetry's conventions for HTTP, where those have one. */
function serverAttributes(asked: Recorded, { notes, status, location, upstream, facts }: Ended, method: string): Attributes {
  const { peer, target, authority } = asked;
  const all: Gathered = { ...facts };
  const question = target.indexOf('?');
  all['http.request.method'] = method;
  if (method === '_OTHER') all['http.request.method_original'] = asked.method;
  all['url.scheme'] = peer.scheme;
  all['url.path'] = question < 0 ? target : target.slice(0, question);
  if (question >= 0) all['url.query'] = redactedTarget(target).slice(question + 1);
  tellServer(all, authority);
  if (asked.client !== '') all['client.address'] = asked.client;
  if (peer.address !== '') {
    all['network.peer.address'] = peer.address;
    all['network.peer.port'] = peer.port;
  }
  all['network.protocol.version'] = peer.http2 ? '2' : '1.1';
  if (asked.userAgent !== '') all['user_agent.original'] = asked.userAgent;
  if (status !== 0) all['http.response.status_code'] = status;
  if (notes.failure !== null) all['error.type'] = notes.failure.code;
  else if (status >= 500) all['error.type'] = String(status);
  tellRequestId(all, asked);
  all['http.request.body.size'] = notes.requestBytes;
  all['http.response.body.size'] = notes.replyBytes;
  if (location !== '') all['windlass.location'] = location;
  if (upstream !== '') all['windlass.upstream'] = upstream;
  if (notes.agent !== '') all['windlass.agent'] = notes.agent;
  return all;
}

function sentAttributes(method: string, notes: Notes, trace: Trace, status: number): Attributes {
  const all: Gathered = { 'http.request.method': method };
  if (notes.agent === '') tellServer(all, notes.address.replace(/^[a-z\d]+:\/\//, '').replace(/\/.*$/s, ''));
  if (notes.firstByteMs > 0) all['http.response.status_code'] = status;
  if (notes.failure !== null) all['error.type'] = notes.failure.code;
  tellRequestId(all, trace);
  if (notes.attempts > 1) all['http.request.resend_count'] = notes.attempts - 1;
  if (notes.tries !== '') all['windlass.tries'] = notes.tries;
  if (notes.agent === '') all['windlass.reused'] = notes.reused;
  else all['windlass.agent'] = notes.agent;
  all['windlass.endpoint'] = notes.endpoint;
  return all;
}

function tellRequestId(all: Gathered, { requestId }: Trace): void {
  if (requestId !== '') all['http.request.header.x-request-id'] = [requestId];
}

/** Host and port of an authority. */
function tellServer(all: Gathered, authority: string): void {
  if (authority === '') return;
  const colon = authority.lastIndexOf(':');
  const port = colon < 0 ? '' : authority.slice(colon + 1);
  const hasPort = port !== '' && /^\d+$/.test(port);
  const host = hasPort ? authority.slice(0, colon) : authority;
  if (host !== '') all['server.address'] = host.startsWith('[') ? host.slice(1, host.endsWith(']') ? -1 : host.length) : host;
  if (hasPort) all['server.port'] = Number(port);
}
