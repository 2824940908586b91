// HOT: begin() runs per request while traces are on; what is not recorded costs it a look at one field.
import { redactedTarget } from '../observe/log-text.ts';
import { type AttributeValue, CLIENT, INTERNAL, SERVER, type Span, type SpanSink } from '../observe/span.ts';
import { type Trace, traceparentOf, type TraceSource } from '../observe/trace.ts';
import { AgentTimes, type Notes } from '../http/exchange.ts';
import type { Peer, RequestHead } from '../http/head.ts';
import { TRACEPARENT, TRACESTATE, USER_AGENT } from '../http/names.ts';

/** What a span of a request needs of its head, which is gone when it ends. */
interface Asked {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly client: string;
  readonly userAgent: string;
  readonly peer: Peer;
}

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
  readonly #asked = new WeakMap<Trace, Asked>();

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
    notes.trace = trace;
    if (this.#options.asksAgents) notes.times ??= new AgentTimes();
    this.#asked.set(trace, {
      method: head.method,
      target: head.target,
      authority: head.authority,
      client: head.client,
      userAgent: head.value(USER_AGENT),
      peer: head.peer,
    });
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
    const asked = this.#asked.get(trace);
    if (asked === undefined) return;
    this.#asked.delete(trace);
    const wallMs = this.#wall() - nowMs;
    const failure = notes.failure?.code ?? null;
    const common = { traceId: trace.traceId, state: trace.state, flags: trace.flags };
    const add = (span: Pick<Span, 'spanId' | 'parentId' | 'name' | 'kind' | 'startMs' | 'endMs' | 'attributes' | 'error'>): void =>
      this.#sink.add({ ...common, ...span, startMs: span.startMs + wallMs, endMs: span.endMs + wallMs });
    const method = METHODS.has(asked.method) ? asked.method : '_OTHER';
    const shown = method === '_OTHER' ? 'HTTP' : method;
    add({
      spanId: trace.spanId,
      parentId: trace.parentId,
      name: location === '' ? shown : `${shown} ${location}`,
      kind: SERVER,
      startMs: notes.startMs,
      endMs: nowMs,
      attributes: {
        ...serverAttributes(asked, method, notes, trace, status, location, upstream),
        ...this.#options.facts,
      },
      error: failure ?? (status >= 500 ? String(status) : null),
    });
    const queuedMs = notes.waitedMs;
    if (queuedMs > 0) {
      const endMs = notes.dispatchedMs > 0 ? notes.dispatchedMs : nowMs;
      add({
        spanId: this.#source.spanId(),
        parentId: trace.spanId,
        name: 'queue',
        kind: INTERNAL,
        startMs: endMs - queuedMs,
        endMs,
        attributes: { 'windlass.upstream': upstream },
        error: notes.dispatchedMs > 0 ? null : failure,
      });
    }
    if (notes.dispatchedMs === 0) return;
    add({
      spanId: trace.sentId,
      parentId: trace.spanId,
      name: notes.agent === '' ? shown : `${shown} agent`,
      kind: CLIENT,
      startMs: notes.dispatchedMs,
      endMs: nowMs,
      attributes: sentAttributes(method, notes, trace, status),
      error: failure ?? (notes.firstByteMs > 0 && status >= 400 ? String(status) : null),
    });
    const part = (name: string, parentId: string, startMs: number, ms: number, kind: Span['kind'] = INTERNAL): string => {
      const spanId = this.#source.spanId();
      add({ spanId, parentId, name, kind, startMs, endMs: startMs + ms, attributes: {}, error: null });
      return spanId;
    };
    const { times } = notes;
    if (notes.connectMs > 0) {
      const id = part('connect', trace.sentId, notes.dispatchedMs, notes.connectMs);
      if (notes.connectTlsMs > 0) part('tls', id, notes.dispatchedMs + notes.connectMs - notes.connectTlsMs, notes.connectTlsMs);
    }
    // An agent that sends spans of its own says more than we know.
    if (times === null || !times.told || times.traced || notes.firstByteMs === 0) return;
    const atAgentMs = notes.dispatchedMs + Math.max(0, notes.firstByteMs - notes.dispatchedMs - times.headMs) / 2;
    const agent = part('agent', trace.sentId, atAgentMs, times.headMs);
    if (times.connectMs > 0) part('connect', agent, atAgentMs, times.connectMs);
    part('upstream', agent, atAgentMs + times.connectMs, Math.max(0, times.headMs - times.connectMs));
  }
}

/** Those that a name may be made of: others are whatever a client likes. */
const METHODS: ReadonlySet<string> = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE']);

type Attributes = Readonly<Record<string, AttributeValue>>;

/** By the names of OpenTelemetry's conventions for HTTP, where those have one. */
function serverAttributes(asked: Asked, method: string, notes: Notes, trace: Trace, status: number, location: string, upstream: string): Attributes {
  const { peer, target, authority } = asked;
  const question = target.indexOf('?');
  return {
    'http.request.method': method,
    ...(method === '_OTHER' ? { 'http.request.method_original': asked.method } : {}),
    'url.scheme': peer.scheme,
    'url.path': question < 0 ? target : target.slice(0, question),
    ...(question < 0 ? {} : { 'url.query': redactedTarget(target).slice(question + 1) }),
    ...addressAttributes('server', authority),
    ...(asked.client === '' ? {} : { 'client.address': asked.client }),
    ...(peer.address === '' ? {} : { 'network.peer.address': peer.address, 'network.peer.port': peer.port }),
    'network.protocol.version': peer.http2 ? '2' : '1.1',
    ...(asked.userAgent === '' ? {} : { 'user_agent.original': asked.userAgent }),
    ...(status === 0 ? {} : { 'http.response.status_code': status }),
    ...(notes.failure === null ? (status >= 500 ? { 'error.type': String(status) } : {}) : { 'error.type': notes.failure.code }),
    ...requestIdAttribute(trace),
    'http.request.body.size': notes.requestBytes,
    'http.response.body.size': notes.replyBytes,
    ...(location === '' ? {} : { 'windlass.location': location }),
    ...(upstream === '' ? {} : { 'windlass.upstream': upstream }),
    ...(notes.agent === '' ? {} : { 'windlass.agent': notes.agent }),
  };
}

function sentAttributes(method: string, notes: Notes, trace: Trace, status: number): Attributes {
  return {
    'http.request.method': method,
    ...addressAttributes('server', notes.agent === '' ? notes.address.replace(/^[a-z\d]+:\/\//, '').replace(/\/.*$/s, '') : ''),
    ...(notes.firstByteMs > 0 ? { 'http.response.status_code': status } : {}),
    ...(notes.failure === null ? {} : { 'error.type': notes.failure.code }),
    ...requestIdAttribute(trace),
    ...(notes.attempts > 1 ? { 'http.request.resend_count': notes.attempts - 1 } : {}),
    ...(notes.tries === '' ? {} : { 'windlass.tries': notes.tries }),
    ...(notes.agent === '' ? { 'windlass.reused': notes.reused } : { 'windlass.agent': notes.agent }),
    'windlass.endpoint': notes.endpoint,
  };
}

function requestIdAttribute({ requestId }: Trace): Attributes {
  return requestId === '' ? {} : { 'http.request.header.x-request-id': [requestId] };
}

/** Host and port as two attributes. */
function addressAttributes(name: string, authority: string): Attributes {
  const [, host = '', port] = /^(.*?)(?::(\d+))?$/s.exec(authority) ?? [];
  return {
    ...(host === '' ? {} : { [`${name}.address`]: host.replace(/^\[|\]$/g, '') }),
    ...(port === undefined ? {} : { [`${name}.port`]: Number(port) }),
  };
}
