import type { Clock } from '../std/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Registry } from '../observe/metrics.ts';
import type { Table, Values } from '../schema/setting.ts';
import type { ClientCertificate } from '../http/client-certificate.ts';
import type { Failure } from '../http/failure.ts';
import type { FieldLines } from '../http/field-lines.ts';
import type { HeaderList } from '../http/head.ts';

/** Everything that is not forwarding: looks at requests and answers of the locations that name it. Declared by its settings, made once per section of the file. */
export interface PluginDefinition<T extends Table = Table> {
  /** Its category in the file: lower case with underscores. */
  readonly name: string;
  /** One line for the reference. */
  readonly summary: string;
  readonly settings: T;
  /** Steps of Pingap's files that it may be put at; others are refused. Absent: it has one place, and no step need be named. */
  readonly steps?: readonly PluginStep[];
  /** Compiles the settings. @throws Wrong when they do not fit together: then the configuration is refused */
  create(settings: Values<T>, context: PluginContext): Plugin | Promise<Plugin>;
}

/** Pingap's words for when a plugin is asked. */
export type PluginStep = 'early_request' | 'request' | 'proxy_upstream' | 'upstream_response' | 'response';

/** What a plugin is made with. */
export interface PluginContext {
  /** Its name in the file. */
  readonly name: string;
  /** What the file says; null = the plugin's own place. */
  readonly step: PluginStep | null;
  readonly log: Log;
  readonly clock: Clock;
  /** Families are shared by all plugins of a category: use a label `plugin` with the name. */
  readonly metrics: Registry;
  readonly announced: Announced;
}

/** What the agents of a gateway announce in their labels. */
export interface Announced {
  /** All values of a label among the agents that are connected, each once. */
  values(label: string): readonly string[];
  /** Is or was there an agent with this value of the label? Those that are away may come back. */
  knows(label: string, value: string): boolean;
}

/** A plugin at work. A phase that is absent costs nothing. */
export interface Plugin {
  /** It may call `request.transform()`: what others need not pay for. */
  readonly changesRequests?: boolean;
  /** Before anything is sent on, upgrades included. A reply answers at once; a throw is a 500: nothing gets past a plugin that fails. */
  request?(exchange: PluginExchange): Verdict | Promise<Verdict>;
  /** Only for requests that go to an upstream (not for answers from a cache), after all request phases. */
  upstream?(exchange: PluginExchange): Verdict | Promise<Verdict>;
  /** The head of the answer, whoever gives it: it may be changed, and `transform()` asks for the body. */
  response?(exchange: PluginExchange): void;
  /** Everything is over: status, bytes and times are in `notes`. */
  log?(exchange: PluginExchange): void;
  /** The configuration has it no more, and its last exchange has ended. */
  close?(): void | Promise<void>;
}

/** Nothing: go on. A reply: answer with it. A failure: the page and the log line that there are for it. */
export type Verdict = Reply | Failure | undefined | void;

/** Lets the compiler find the settings' type. */
export function definePlugin<const T extends Table>(of: PluginDefinition<T>): PluginDefinition<T> {
  return of;
}

/** An answer of a plugin's own. */
export interface Reply {
  readonly status: number;
  /** Name, value, name, value … Content-Length is ours to write. */
  readonly headers?: HeaderList;
  /** More fields, written ready once: for answers that are given many times. */
  readonly lines?: FieldLines;
  readonly body?: string | Uint8Array | BodySource | null;
}

/** One whose body is there. */
export interface WholeReply extends Reply {
  readonly body?: string | Uint8Array | null;
}

/** A body that is not there all at once. */
export interface BodySource {
  /** Bytes; null = only its end will tell. */
  readonly length: number | null;
  /** Once: write until `out.write` says false, and go on at drained(); then `out.end()`. */
  start(out: BodyOut): void;
  drained(): void;
  /** Nobody wants the rest. */
  abort(): void;
}

/** Where a body goes. */
export interface BodyOut {
  /** The chunk is taken; false asks to stop until drained(). The bytes may be changed again when this has returned. */
  write(chunk: Uint8Array): boolean;
  end(trailers?: HeaderList): void;
  /** What was promised cannot be kept: the client sees a broken connection, never a short body that looks whole. */
  abort(reason: Failure | Error): void;
}

/** Changes a body as it passes, with bounded memory. */
export interface BodyTransformer {
  /**
   * A chunk came; it is valid until this returns. False asks for no more until `out.ready()`; what `out.write` says is looked after by the core.
   */
  write(chunk: Uint8Array, out: TransformOut): boolean | void;
  /** The body is complete: write what is left and call `out.end()`, now or later. */
  end(out: TransformOut, trailers?: HeaderList): void;
  /** There is room again, after `out.full`. */
  drained?(out: TransformOut): void;
  /** The body broke off where it came from. True: it was ended in a way that tells so (`out.end()`); else who reads it sees a broken connection. */
  broken?(failure: Failure, out: TransformOut): boolean;
  /** It is over, whole or broken off: once, also after end(). */
  close?(): void;
}

export interface TransformOut extends BodyOut {
  /** More may come, after a write() that said false. */
  ready(): void;
  /** Has nobody room for more? What is made anyway is held in memory. */
  readonly full: boolean;
}

/** A typed place on an exchange for what one plugin, or several, want to keep there. Slots of one name are one place, whoever made them. */
export interface Slot<T> {
  readonly name: string;
  /** Only for the compiler. */
  readonly type?: T;
}

export function slot<T>(name: string): Slot<T> {
  return { name };
}

/** One request and its answer, as plugins see it. */
export interface PluginExchange {
  readonly request: PluginRequest;
  /** The answer's head: in phases response and log; null before, and where there was none. */
  readonly response: PluginResponse | null;
  /** Address of the client, behind trusted proxies. */
  readonly client: string;
  /**
   * Did the client send `Authorization`? It may be gone from the request: plugins take it out. One that tells the upstream by another field who the client
   * is sets it, so that caches do not give the answer to others.
   */
  hadAuthorization: boolean;
  readonly location: string;
  /** What location patterns captured, by name or number; '' when nothing. */
  capture(name: string): string;
  /** As if its location had captured this, in phase request: upstreams of agents may choose by it (`agents = "models=$model"`). */
  setCapture(name: string, value: string): void;
  get<T>(slot: Slot<T>): T | undefined;
  set<T>(slot: Slot<T>, value: T): void;
  /** Sends it elsewhere, in phase request. @returns false when there is no upstream of that name */
  useUpstream(name: string): boolean;
  /** Name of the upstream that it goes to; '' = none yet. */
  readonly upstream: string;
  /** Where it waits among others, in phase request: by class, in fair shares between keys, by age. @returns what holds now */
  label(label: QueueLabel): Required<QueueLabel>;
  /** Where it stands while it waits for a slot; null when it does not wait, or too many stand before it to count them. */
  readonly place: { readonly position: number; readonly estimatedWaitMs: number | null } | null;
  /** Tells the client something while there is no answer yet, in a head of its own (102; HTTP/1.0 hears nothing). Not every client expects one: tell those who ask. */
  inform(headers: HeaderList): void;
  /**
   * It is a request of gRPC from now on, in phase request, after its content type was made one: trailers are asked for, its `grpc-timeout` is obeyed, and
   * failures are told as gRPC tells them. @returns the verdict when it is not served
   */
  becomeGrpc(): Failure | undefined;
  /** Says something in the access log: `{+NAME}`. Up to phase log. */
  note(name: string, value: string | number): void;
  /** Times (monotonic ms) and numbers, filled on the way. */
  readonly notes: PluginNotes;
  /**
   * Asked when the client leaves while its request is with an upstream: true = the answer is read to its end all the same, and passes the plugins.
   * One question per exchange, said in phase request. Requests with a body end with their client whatever it says.
   */
  outliveClient(isWanted: () => boolean): void;
  /**
   * Makes the same request once more in the background, in phase request, from the plugin behind this one on. Its answer passes their response phases and
   * this plugin's, and goes nowhere else. `prepare` may change the new request, and set slots; those of this exchange are set already. It has no line in
   * the access log.
   */
  repeat(prepare: (again: PluginExchange) => void): void;
}

/** How a request waits for a slot. What is absent stays as an earlier plugin has said. */
export interface QueueLabel {
  /** Class, 0 to 7: lower is served first. 3 without a label. */
  readonly rank?: number;
  /** Requests with the same key share what their class gets. Without a label all have the same, ''. */
  readonly key?: string;
  /** Share of the key among those of its class, 1 to 1000. 1 without a label. */
  readonly weight?: number;
  /** After each such time of waiting it stands one class higher, ms; 0 = never. 10 s without a label. */
  readonly ageMs?: number;
  /** Requests of its key that may wait at once; one more is answered 429. */
  readonly most?: number;
  /** May operators read the key? Otherwise its digest is shown: it may be an address or a secret. */
  readonly shown?: boolean;
}

export interface PluginNotes {
  readonly startMs: number;
  readonly firstByteMs: number;
  readonly status: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly endpoint: string;
  readonly agent: string;
  readonly attempts: number;
  readonly waitedMs: number;
  /** Code of the failure; '' when it went well. */
  readonly failure: string;
}

/** Fields of a message. Names in any case; values of a name that came several times are joined with ', '. */
export interface PluginFields {
  header(name: string): string | undefined;
  headers(): Iterable<readonly [name: string, value: string]>;
  /** @throws RangeError for what cannot stand in a field line */
  setHeader(name: string, value: string): void;
  addHeader(name: string, value: string): void;
  removeHeader(name: string): void;
}

export interface PluginRequest extends PluginFields {
  readonly method: string;
  /** Host and port as the client wrote them. */
  readonly host: string;
  /** How the client came: by https, too, where a trusted proxy in front took its TLS off (`X-Forwarded-Proto`). */
  readonly scheme: 'http' | 'https';
  /** What the client has shown in the TLS handshake, checked against the authorities of the server; null = nothing, or it was not asked. */
  readonly clientCertificate: ClientCertificate | null;
  /** Path and query as they go on. */
  readonly target: string;
  readonly path: string;
  /** Without the question mark; '' when there is none. */
  readonly query: string;
  /** Another path and query from now on. @throws RangeError unless it begins with / and has no space or control characters */
  setTarget(target: string): void;
  /** The first cookie of that name. */
  cookie(name: string): string | undefined;
  /** The first query parameter of that name, decoded. */
  parameter(name: string): string | undefined;
  /** What the application sent as `Slime-App-Password`, which is between it and us: nobody else sees the field. '' = nothing. */
  readonly appPassword: string;
  /** The protocol it asks to be upgraded to; '' = none. */
  readonly upgrade: string;
  /** Bytes of the body; null = not told. 0 without a body. */
  readonly length: number | null;
  /** The first bytes of the body, at most so many (64 KiB), or all of it when it is shorter. They go on unchanged. Phases request and upstream. */
  peek(bytes: number): Promise<Uint8Array>;
  /**
   * Takes the body through this, in phase request, of a plugin that says `changesRequests`; its length is unknown from now on. What the transformer gives
   * up (`out.abort`) is answered. @throws RangeError when another plugin does so already
   */
  transform(transformer: BodyTransformer): void;
}

export interface PluginResponse extends PluginFields {
  readonly status: number;
  setStatus(status: number): void;
  /** Bytes of the body, for HEAD of the one that GET would bring; null = not told. */
  readonly length: number | null;
  /** Is it without a body whatever its head says (HEAD, 204, 304), or no message any more (101)? Then transformers are not called. */
  readonly bodiless: boolean;
  /** Answers with this instead, in phase response: what the upstream sends is dropped. */
  replace(reply: WholeReply): void;
  /** Takes the body through this, in phase response; its length is unknown from now on unless told. */
  transform(transformer: BodyTransformer, length?: number): void;
  /** The same for an answer that may have no body, and gets one of the transformer's end(). Not for HEAD, 204, 304 and 101. */
  giveBody(transformer: BodyTransformer): void;
}
