// Helpers for tests of tunnels: real sockets on loopback, scripted peers that write frames by hand.
import { parseUpstreamUrl } from '../../src/schema/upstream-url.ts';
import { Buffer } from 'node:buffer';
import net from 'node:net';
import type { Handler, Notes, ReplySink, RequestSink, Writer } from '../../src/http/exchange.ts';
import { Failure } from '../../src/http/failure.ts';
import { type HeaderList, makePeer, NO_BODY, RequestHead, ResponseHead } from '../../src/http/head.ts';
import { httpLimits } from '../../src/http/limits.ts';
import { parseRequest } from '../../src/http/parse.ts';
import { Notes as ExchangeNotes } from '../../src/http/exchange.ts';
import type { Log } from '../../src/observe/log.ts';
import { createLoop, type Loop } from '../../src/std/loop.ts';
import { Wire, type WireUser } from '../../src/std/wire.ts';
import { type TunnelLimits, tunnelLimits } from '../../src/tunnel/limits.ts';
import type { Session } from '../../src/tunnel/session.ts';
import { acceptAgent, type AgentClaims } from '../../src/tunnel/native/accept.ts';
import { dialHub, type DialOptions, type HubConnection } from '../../src/tunnel/native/dial.ts';
import { HEADER_BYTES, readU24, readU32, writeHeader } from '../../src/tunnel/native/frames.ts';
import { SlotLedger } from '../../src/tunnel/native/slots.ts';

/** Resolves when `test` holds; looks again at every turn of the event loop. Rejects after 5 s with the text. */
export async function until(test: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5_000;
  while (!test()) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A log that keeps its lines. */
export class MemoryLog implements Log {
  readonly lines: { level: string; fields: object; message: string }[] = [];

  debug(fields: object, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }

  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }

  child(): Log {
    return this;
  }

  at(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message);
  }
}

export function requestHead(text: string): RequestHead {
  const bytes = Buffer.from(text, 'latin1');
  const head = new RequestHead();
  if (parseRequest(head, bytes, 0, bytes.length, httpLimits) !== bytes.length) throw new Error(`bad head: ${head.problemDetail}`);
  return head;
}

export const GET: string = 'GET /hello?a=1 HTTP/1.1\r\nHost: app.example\r\nX-A: 1\r\n\r\n';

/** A reply sink that writes down what it hears. */
export class Heard implements ReplySink {
  writer: Writer | null = null;
  readonly informationals: number[] = [];
  status = 0;
  reason = '';
  fields: string[] = [];
  length = 0;
  upgrade = '';
  readonly chunks: Buffer[] = [];
  bytes = 0;
  heads = 0;
  ended = 0;
  trailers: HeaderList | undefined;
  failure: Failure | null = null;
  aborts = 0;
  settledCount = 0;
  /** What write() answers. */
  open = true;
  keepBytes = true;

  informational(head: ResponseHead): void {
    this.informationals.push(head.status);
  }

  head(head: ResponseHead): void {
    this.heads++;
    this.status = head.status;
    this.reason = head.reason;
    this.fields = head.list();
    this.length = head.length;
    this.upgrade = head.upgrade;
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    if (this.keepBytes) this.chunks.push(Buffer.from(chunk));
    return this.open;
  }

  end(trailers?: HeaderList): void {
    this.ended++;
    this.trailers = trailers;
  }

  abort(failure: Failure): void {
    this.aborts++;
    this.failure = failure;
  }

  settled(): void {
    this.settledCount++;
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** A request as a handler of the agent got it; the test answers through `reply`. */
export class Served implements RequestSink {
  writer: Writer | null = null;
  readonly reply: ReplySink;
  readonly notes: Notes;
  readonly target: string;
  readonly method: string;
  readonly length: number;
  readonly upgrade: string;
  readonly expectContinue: boolean;
  readonly authority: string;
  readonly fields: string[];
  readonly chunks: Buffer[] = [];
  bytes = 0;
  ended = 0;
  trailers: HeaderList | undefined;
  failure: Failure | null = null;
  aborts = 0;
  settledCount = 0;
  drains = 0;
  open = true;
  keepBytes = true;

  constructor(head: RequestHead, reply: ReplySink, notes: Notes) {
    this.reply = reply;
    this.notes = notes;
    this.target = head.target;
    this.method = head.method;
    this.length = head.length;
    this.upgrade = head.upgrade;
    this.authority = head.authority;
    this.expectContinue = head.expectContinue;
    this.fields = head.list();
    reply.writer = { drained: () => this.drains++ };
  }

  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.length;
    if (this.keepBytes) this.chunks.push(Buffer.from(chunk));
    return this.open;
  }

  end(trailers?: HeaderList): void {
    this.ended++;
    this.trailers = trailers;
  }

  abort(failure: Failure): void {
    this.aborts++;
    this.failure = failure;
  }

  settled(): void {
    this.settledCount++;
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** A whole small answer. */
  answer(status: number, fields: HeaderList, body: string | Uint8Array | null): void {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.reply.head(ResponseHead.make(status, fields, bytes === null ? NO_BODY : bytes.length));
    if (bytes !== null) this.reply.write(bytes);
    this.reply.end();
    this.reply.settled();
  }
}

/** Keeps the requests it gets. */
export class Serving implements Handler {
  readonly all: Served[] = [];
  onOpen: ((served: Served) => void) | null = null;

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    const served = new Served(head, reply, notes);
    this.all.push(served);
    this.onOpen?.(served);
    return served;
  }
}

export const CLAIMS: AgentClaims = { tokenId: 't1', name: 'calm-otter', scopes: [], scopePaths: [], expiresMs: 0, labels: new Map() };

export interface TestHubOptions {
  limits?: Partial<TunnelLimits>;
  loop?: Loop;
  authenticate?(token: string): AgentClaims | Failure;
  joined?(session: Session): Failure | null;
}

/** The hub's side of the tunnel behind a real listening socket. */
export class TestHub {
  readonly loop: Loop;
  readonly log = new MemoryLog();
  readonly sessions: Session[] = [];
  readonly lost: string[] = [];
  readonly limits: TunnelLimits;
  changes = 0;
  readonly #options: TestHubOptions;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  port = 0;

  constructor(options: TestHubOptions = {}) {
    this.loop = options.loop ?? createLoop();
    this.#options = options;
    this.limits = { ...tunnelLimits, ...options.limits };
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      const user = new HeadReader((head, rest) => this.#accept(head, wire, rest));
      const wire = new Wire(this.loop, user, () => socket);
      wire.listenToData();
    });
  }

  #accept(head: RequestHead, wire: Wire, rest: Buffer): void {
    head.peer = makePeer(wire.socket.remoteAddress ?? '', 0, this.port, 'http', false);
    acceptAgent(head, wire, rest, {
      loop: this.loop,
      log: this.log,
      hubId: 'hub-1',
      limits: this.limits,
      authenticate: (token) =>
        this.#options.authenticate?.(token) ?? (token === 'good' ? CLAIMS : new Failure('unauthorized', 'the agent token is not a token')),
      joined: (session) => {
        const failure = this.#options.joined?.(session) ?? null;
        if (failure !== null) return failure;
        this.sessions.push(session);
        session.owner = {
          changed: () => this.changes++,
          lost: (_session, reason) => {
            this.lost.push(reason);
          },
        };
        return null;
      },
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.port = (this.#server.address() as net.AddressInfo).port;
    return this;
  }

  /** The sockets, for a test that cuts them. */
  get sockets(): ReadonlySet<net.Socket> {
    return this.#sockets;
  }

  /** Opens a stream on the last session. */
  open(text: string = GET): { heard: Heard; sink: RequestSink; notes: Notes } {
    const heard = new Heard();
    const notes = new ExchangeNotes(0);
    const sink = this.sessions.at(-1)!.open(requestHead(text), heard, notes);
    return { heard, sink, notes };
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

class HeadReader implements WireUser {
  readonly #done: (head: RequestHead, rest: Buffer) => void;
  #bytes = Buffer.alloc(0);

  constructor(done: (head: RequestHead, rest: Buffer) => void) {
    this.#done = done;
  }

  received(bytes: Buffer, start: number, end: number): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(start, end)]);
    const head = new RequestHead();
    const at = parseRequest(head, this.#bytes, 0, this.#bytes.length, httpLimits);
    if (at > 0) this.#done(head, Buffer.from(this.#bytes.subarray(at)));
  }

  finished(): void {}
  drained(): void {}
  closed(): void {}
}

/** An agent of ours towards a hub on that port. */
export function dial(port: number, handler: Handler, slots: SlotLedger, more: Partial<DialOptions> = {}): HubConnection {
  return dialHub({
    hub: parseUpstreamUrl(`http://127.0.0.1:${port}`),
    token: () => 'good',
    identity: { agentId: 'agent-1', instance: 'i1', name: '', labels: new Map(), hardware: null },
    slots,
    handler,
    loop: createLoop(),
    log: new MemoryLog(),
    ...more,
  });
}

/** Hub and agent of ours, joined. */
export interface Pair {
  hub: TestHub;
  serving: Serving;
  slots: SlotLedger;
  agent: HubConnection;
  session: Session;
  agentLog: MemoryLog;
  close(): void;
}

export async function pair(slots = 4, hubOptions: TestHubOptions = {}, agentOptions: Partial<DialOptions> = {}): Promise<Pair> {
  const hub = await new TestHub(hubOptions).listen();
  const serving = new Serving();
  const ledger = new SlotLedger(slots);
  const agentLog = new MemoryLog();
  const agent = dial(hub.port, serving, ledger, { log: agentLog, ...agentOptions });
  await until(() => hub.sessions.length > 0 && agent.state === 'joined', 'the agent joins');
  return {
    hub,
    serving,
    slots: ledger,
    agent,
    session: hub.sessions[0]!,
    agentLog,
    close: () => {
      agent.destroy();
      hub.close();
    },
  };
}

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload as string);
  const out = Buffer.alloc(HEADER_BYTES + bytes.length);
  out.set(bytes, writeHeader(out, 0, bytes.length, type, flags, stream));
  return out;
}

/** A peer whose frames a test writes by hand. */
export class Scripted {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  head = '';
  closed = false;
  #bytes = Buffer.alloc(0);

  constructor(socket: net.Socket, head: boolean) {
    this.socket = socket;
    if (!head) this.head = '-';
    socket.on('data', (chunk) => this.#received(chunk));
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('error', () => {});
  }

  #received(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.head === '') {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.#bytes.toString('latin1', 0, end + 4);
      this.#bytes = this.#bytes.subarray(end + 4);
      if (!/^(HTTP\/1.1 101|GET )/.test(this.head)) {
        this.head += this.#bytes.toString();
        return;
      }
    }
    while (this.#bytes.length >= HEADER_BYTES) {
      const length = readU24(this.#bytes, 0);
      if (this.#bytes.length < HEADER_BYTES + length) return;
      this.frames.push({
        type: this.#bytes[3]!,
        flags: this.#bytes[4]!,
        stream: readU32(this.#bytes, 5),
        payload: Buffer.from(this.#bytes.subarray(HEADER_BYTES, HEADER_BYTES + length)),
      });
      this.#bytes = this.#bytes.subarray(HEADER_BYTES + length);
    }
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  of(type: number): Frame[] {
    return this.frames.filter((f) => f.type === type);
  }

  async next(type: number, count = 1): Promise<Frame> {
    await until(() => this.of(type).length >= count, `frame 0x${type.toString(16)} number ${count}`);
    return this.of(type)[count - 1]!;
  }
}

/** A scripted agent at a hub: connects and asks for the upgrade. */
export async function scriptedAgent(port: number, token = 'good', upgrade = 'windlass/1', extra = ''): Promise<Scripted> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: false });
  const peer = new Scripted(socket, true);
  socket.write(`GET /windlass/agent HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\nWindlass-Token: ${token}\r\n${extra}\r\n`);
  await until(() => peer.head !== '' || peer.closed, 'an answer to the upgrade');
  return peer;
}

export function helloPayload(more: Record<string, unknown> = {}): string {
  return JSON.stringify({ versions: [1], features: [], agent: 'agent-s', instance: 'i', labels: {}, slots: { total: 4, free: 4 }, ...more });
}

/** A scripted hub for an agent of ours. */
export class ScriptedHub {
  readonly peers: Scripted[] = [];
  port = 0;
  readonly #server: net.Server;

  constructor(answer = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: windlass/1\r\n\r\n') {
    this.#server = net.createServer((socket) => {
      const peer = new Scripted(socket, true);
      this.peers.push(peer);
      socket.once('data', () => {
        socket.write(answer);
        if (!answer.startsWith('HTTP/1.1 101')) socket.end();
      });
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.port = (this.#server.address() as net.AddressInfo).port;
    return this;
  }

  close(): void {
    this.#server.close();
    for (const peer of this.peers) peer.socket.destroy();
  }
}
