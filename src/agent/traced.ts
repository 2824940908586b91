import type { Loop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';
import type { Registry } from '../observe/metrics.ts';
import { otlpHeaders, OtlpExporter } from '../observe/otlp.ts';
import type { SpanSink } from '../observe/span.ts';
import { TraceSource } from '../observe/trace.ts';
import { VERSION } from '../observe/version.ts';
import type { Handler, Notes, ReplySink, Writer } from '../http/exchange.ts';
import type { Failure } from '../http/failure.ts';
import type { HeaderList, ResponseHead } from '../http/head.ts';
import { Tracer } from '../proxy/tracer.ts';
import type { TraceSettings } from '../config/traces.ts';

/** The traces of an agent process: spans of its own for requests that its hub records, and where they are sent. */
export class AgentTraces {
  readonly #exporter: OtlpExporter;
  readonly #source: TraceSource;
  readonly #loop: Loop;

  constructor(settings: TraceSettings, loop: Loop, log: Log, metrics: Registry) {
    this.#loop = loop;
    this.#source = new TraceSource(settings.sample);
    const exporter = new OtlpExporter({
      endpoint: settings.endpoint,
      resource: { 'service.name': settings.service, 'service.version': VERSION, 'process.pid': process.pid },
      headers: otlpHeaders(process.env['OTEL_EXPORTER_OTLP_HEADERS']),
      log,
      clock: loop.clock,
    });
    this.#exporter = exporter;
    metrics.computed('counter', 'windlass_trace_spans_total', 'Spans by what became of them.', ['result'], (emit) => {
      emit(exporter.sent, 'sent');
      emit(exporter.dropped, 'dropped');
    });
    metrics.computed('counter', 'windlass_trace_export_failures_total', 'Sendings to a collector that failed, each try counted.', [], (emit) =>
      emit(exporter.failures),
    );
  }

  /** In front of what answers for one agent. */
  around(handler: Handler, agent: string): Handler {
    return new TracedHandler(handler, this.#source, this.#exporter, this.#loop, agent);
  }

  /** Sends what is left, bounded. */
  close(): Promise<void> {
    return this.#exporter.close();
  }

  destroy(): void {
    this.#exporter.destroy();
  }
}

/** Makes spans of what passes: the agent's part, and the upstream's in it. */
export class TracedHandler implements Handler {
  readonly #handler: Handler;
  readonly #tracer: Tracer;
  readonly #loop: Loop;

  constructor(handler: Handler, source: TraceSource, sink: SpanSink, loop: Loop, agent: string) {
    this.#handler = handler;
    this.#loop = loop;
    this.#tracer = new Tracer(source, sink, () => loop.clock.wall(), { facts: { 'windlass.agent': agent }, asksAgents: false });
  }

  open(...[head, reply, notes]: Parameters<Handler['open']>): ReturnType<Handler['open']> {
    this.#tracer.begin(head, notes);
    const { trace } = notes;
    if (trace === null) return this.#handler.open(head, reply, notes);
    notes.startMs = notes.dispatchedMs = this.#loop.clock.now();
    if (notes.times !== null) notes.times.traced = true;
    this.#tracer.sent(head, trace);
    const over = (status: number): void => this.#tracer.finished(notes, trace, status, this.#loop.clock.now(), '', '');
    return this.#handler.open(head, new TracedReply(reply, notes, over), notes);
  }
}

/** The answer on its way to the hub. */
class TracedReply implements ReplySink {
  readonly #reply: ReplySink;
  readonly #notes: Notes;
  readonly #over: (status: number) => void;
  #status = 0;

  constructor(reply: ReplySink, notes: Notes, over: (status: number) => void) {
    this.#reply = reply;
    this.#notes = notes;
    this.#over = over;
  }

  get writer(): Writer | null {
    return this.#reply.writer;
  }

  set writer(writer: Writer | null) {
    this.#reply.writer = writer;
  }

  informational(head: ResponseHead): void {
    this.#reply.informational(head);
  }

  head(head: ResponseHead): void {
    this.#status = head.status;
    this.#reply.head(head);
  }

  write(chunk: Uint8Array): boolean {
    this.#notes.replyBytes += chunk.length;
    return this.#reply.write(chunk);
  }

  end(trailers?: HeaderList): void {
    this.#reply.end(trailers);
  }

  abort(failure: Failure): void {
    this.#notes.failure ??= failure;
    this.#reply.abort(failure);
  }

  settled(): void {
    this.#over(this.#status);
    this.#reply.settled();
  }
}
