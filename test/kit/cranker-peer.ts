import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { soon } from './until.ts';

/** A message that a router sent. */
export interface Message {
  readonly kind: 'text' | 'binary' | 'ping' | 'pong' | 'close';
  readonly bytes: Buffer;
  /** Of a close: its code, 1006 when the connection broke without one. */
  readonly code: number;
}

/** What a connector says when it registers. */
export interface Registering {
  readonly route?: string;
  readonly id?: string;
  readonly component?: string;
  readonly domain?: string;
  /** Value of `CrankerProtocol`; null = no such field. */
  readonly says?: string | null;
  /** Value of `Sec-WebSocket-Protocol`. */
  readonly offers?: string;
  readonly path?: string;
  readonly fields?: readonly string[];
  readonly version?: string;
}

const OPCODES = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const KINDS = new Map<number, Message['kind']>(Object.entries(OPCODES).map(([kind, code]) => [code, kind as Message['kind']]));

/** One WebSocket of a connector that follows a script, made without any of our code. It answers pings, unless told not to. */
export class CrankerPeer {
  readonly socket: net.Socket;
  status = 0;
  readonly fields = new Map<string, string>();
  /** Behind a refusal. */
  body = '';
  answersPings = true;
  #bytes = Buffer.alloc(0);
  #head = '';
  readonly #messages: Message[] = [];
  #wake: (() => void)[] = [];
  #over = false;
  #heard: ((message: Message) => void) | null = null;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (data: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, data]);
      this.#read();
    });
    socket.on('close', () => {
      this.#over = true;
      this.#add({ kind: 'close', bytes: Buffer.alloc(0), code: 1006 });
    });
  }

  /** Asks a router for a WebSocket, and reads what it says. */
  static async ask(port: number, registering: Registering = {}): Promise<CrankerPeer> {
    const socket = net.connect({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    return CrankerPeer.askOn(socket, registering);
  }

  static async askOn(
    socket: net.Socket,
    { route, id, component, domain, says = '1.0', offers, path, fields = [], version = '13' }: Registering,
  ): Promise<CrankerPeer> {
    const peer = new CrankerPeer(socket);
    const query = [id === undefined ? '' : `connectorInstanceID=${id}`, component === undefined ? '' : `componentName=${component}`]
      .filter((one) => one !== '')
      .join('&');
    const lines = [
      `GET ${path ?? '/register/'}${query === '' ? '' : `?${query}`} HTTP/1.1`,
      'Host: router',
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Version: ${version}`,
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      ...(says === null ? [] : [`CrankerProtocol: ${says}`]),
      ...(route === undefined ? [] : [`Route: ${route}`]),
      ...(domain === undefined ? [] : [`Domain: ${domain}`]),
      ...(offers === undefined ? [] : [`Sec-WebSocket-Protocol: ${offers}`]),
      ...fields,
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    await soon(
      'the answer to a registration',
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (peer.status !== 0 || peer.#over) resolve();
          else peer.#wake.push(look);
        };
        look();
      }),
    );
    return peer;
  }

  /** Registers, and takes it for granted that it may. */
  static async register(port: number, registering: Registering = {}): Promise<CrankerPeer> {
    const peer = await CrankerPeer.ask(port, registering);
    if (peer.status !== 101) throw new Error(`the router answered ${peer.status}: ${peer.body}`);
    return peer;
  }

  #read(): void {
    if (this.status === 0 || this.status !== 101) {
      this.#head += this.#bytes.toString('latin1');
      this.#bytes = Buffer.alloc(0);
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) return;
      if (this.status === 0) {
        const [first, ...lines] = this.#head.slice(0, end).split('\r\n');
        for (const line of lines) this.fields.set(line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim());
        this.status = Number(first!.split(' ')[1]);
      }
      if (this.status === 101) {
        this.#bytes = Buffer.from(this.#head.slice(end + 4), 'latin1');
        this.#head = '';
      } else this.body = this.#head.slice(end + 4);
      this.#tell();
      if (this.status !== 101) return;
    }
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < 2) return;
      let length = bytes[1]! & 0x7f;
      let at = 2;
      if (length === 126) {
        if (bytes.length < 4) return;
        length = bytes.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (bytes.length < 10) return;
        length = Number(bytes.readBigUInt64BE(2));
        at = 10;
      }
      if (bytes.length < at + length) return;
      // Routers must send whole messages, unmasked and not compressed.
      if ((bytes[0]! & 0xf0) !== 0x80 || (bytes[1]! & 0x80) !== 0)
        throw new Error(`a frame that no router may send: ${bytes.subarray(0, 2).toString('hex')}`);
      const kind = KINDS.get(bytes[0]! & 15)!;
      const payload = Buffer.from(bytes.subarray(at, at + length));
      this.#bytes = bytes.subarray(at + length);
      if (kind === 'ping' && this.answersPings) this.frame('pong', payload);
      this.#add({ kind, bytes: payload, code: kind === 'close' && payload.length >= 2 ? payload.readUInt16BE(0) : 0 });
    }
  }

  /** Is told of each message in the place of next(), from those on that came with the 101. */
  set heard(heard: ((message: Message) => void) | null) {
    this.#heard = heard;
    if (heard !== null) for (const message of this.#messages.splice(0)) heard(message);
  }

  #add(message: Message): void {
    if (this.#heard !== null) this.#heard(message);
    else this.#messages.push(message);
    this.#tell();
  }

  #tell(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  /** The next message that is no ping or pong. */
  next(): Promise<Message> {
    return soon(
      'a message of the router',
      new Promise((resolve) => {
        const look = (): void => {
          while (this.#messages.length > 0 && (this.#messages[0]!.kind === 'ping' || this.#messages[0]!.kind === 'pong')) this.#messages.shift();
          const message = this.#messages.shift();
          if (message !== undefined) resolve(message);
          else this.#wake.push(look);
        };
        look();
      }),
    );
  }

  /** The next message of this kind; others before it are thrown away. */
  async nextOf(kind: Message['kind']): Promise<Message> {
    return soon(
      `a ${kind} of the router`,
      new Promise((resolve) => {
        const look = (): void => {
          for (;;) {
            const message = this.#messages.shift();
            if (message === undefined) break;
            if (message.kind === kind) {
              resolve(message);
              return;
            }
          }
          this.#wake.push(look);
        };
        look();
      }),
    );
  }

  /** Messages that nobody has asked for yet. */
  get waiting(): readonly Message[] {
    return this.#messages;
  }

  get isOver(): boolean {
    return this.#over;
  }

  text(text: string | Buffer): this {
    return this.frame('text', Buffer.from(text));
  }

  binary(bytes: Uint8Array | string): this {
    return this.frame('binary', Buffer.from(bytes as string));
  }

  close(code?: number, reason = ''): this {
    const payload = Buffer.alloc(code === undefined ? 0 : 2 + Buffer.byteLength(reason));
    if (code !== undefined) payload.write(reason, payload.writeUInt16BE(code, 0));
    return this.frame('close', payload);
  }

  /** In one frame, or in several of `piece` bytes. */
  frame(kind: Message['kind'], payload: Buffer, piece = Number.POSITIVE_INFINITY): this {
    if (payload.length <= piece) {
      this.#frame(0x80 | OPCODES[kind], payload);
      return this;
    }
    for (let from = 0; from < payload.length; from += piece) {
      const isLast = from + piece >= payload.length;
      this.#frame((isLast ? 0x80 : 0) | (from === 0 ? OPCODES[kind] : 0), payload.subarray(from, from + piece));
    }
    return this;
  }

  #frame(first: number, payload: Buffer): void {
    if (this.socket.destroyed) return;
    const head = Buffer.alloc(payload.length < 126 ? 6 : payload.length < 65_536 ? 8 : 14);
    head[0] = first;
    if (payload.length < 126) head[1] = 0x80 | payload.length;
    else if (payload.length < 65_536) {
      head[1] = 0x80 | 126;
      head.writeUInt16BE(payload.length, 2);
    } else {
      head[1] = 0x80 | 127;
      head.writeBigUInt64BE(BigInt(payload.length), 2);
    }
    const mask = randomBytes(4);
    mask.copy(head, head.length - 4);
    const masked = Buffer.alloc(payload.length);
    for (let i = 0; i < payload.length; i++) masked[i] = payload[i]! ^ mask[i & 3]!;
    this.socket.write(Buffer.concat([head, masked]));
  }

  /** TCP without a word. */
  drop(): void {
    this.socket.resetAndDestroy();
  }
}

/** A frame of protocol 3.0. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

export const DATA = 0;
export const HEADER = 1;
export const RST = 3;
export const WINUP = 8;

export function frame3(type: number, flags: number, id: number, payload: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(payload as string);
  const out = Buffer.alloc(6 + bytes.length);
  out[0] = type;
  out[1] = flags;
  out.writeInt32BE(id, 2);
  bytes.copy(out, 6);
  return out;
}

export function i32(n: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeInt32BE(n, 0);
  return out;
}

export function readFrame3(bytes: Buffer): Frame {
  return { type: bytes[0]!, flags: bytes[1]!, id: bytes.readInt32BE(2), payload: bytes.subarray(6) };
}

/** How the head of an answer is written, by whom. */
export const dialects: { readonly [name: string]: (status: number, fields: readonly string[], request: string) => string } = {
  c4g: (status, fields, request) =>
    `HTTP/1.1 ${status} OK \n${request.split(' ').slice(0, 2).join(' ')}\n${fields.map((one) => `${one}\n`).join('')}`,
  c4j: (status, fields) => `HTTP/1.1 ${status} OK\n${fields.map((one) => `${one}\n`).join('')}`,
  jc: (status, fields) => `HTTP/1.1 ${status} ${['TO', 'DO'].join('')}\n${fields.map((one) => `${one}\n`).join('')}`,
  asgi: (status, fields) => `HTTP/1.1 ${status} OK\n${fields.join('\n')}`,
  tsn: (status, fields) => `HTTP/1.1 ${status} OK\n${fields.join('\n')}`,
  njs: (status, fields) => `HTTP/1.1 ${status} OK\n${fields.map((one) => `${one}\n`).join('')}\n`,
  go2: (status, fields) => `HTTP/1.1 ${status} OK\r\n${fields.map((one) => `${one}\r\n`).join('')}`,
  py1: (status, fields, request) =>
    `HTTP/1.1 ${status} OK \n${request.split(' ').slice(0, 2).join(' ')}\n${fields.map((one) => `${one}\n`).join('')}`,
  rs1: (status, fields) => `HTTP/1.1 ${status}\n${fields.map((one) => `${one}\n`).join('')}`,
  mu: (status, fields) => `HTTP/1.1 ${status} OK\n${fields.map((one) => `${one}\n`).join('')}\n`,
};

/** A request as it came to a service behind a scripted connector. */
export interface Served {
  /** Its first line. */
  readonly line: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** What the service answers. */
export interface Reply {
  readonly status?: number;
  readonly fields?: readonly string[];
  readonly body?: string | Buffer;
}

export interface ScriptedOptions extends Registering {
  /** Idle sockets. */
  readonly window?: number;
  readonly dialect?: keyof typeof dialects;
  readonly answer?: (request: Served) => Reply | Promise<Reply>;
}

/** A whole connector with its service: it keeps its window, and answers whatever comes. */
export class ScriptedConnector {
  readonly #port: number;
  readonly #options: ScriptedOptions;
  readonly #version: '1.0' | '3.0';
  readonly peers = new Set<CrankerPeer>();
  readonly served: Served[] = [];
  /** WebSockets that it has dialled. */
  dialled = 0;
  #stopped = false;

  private constructor(port: number, version: '1.0' | '3.0', options: ScriptedOptions) {
    this.#port = port;
    this.#version = version;
    this.#options = options;
  }

  static async start(port: number, version: '1.0' | '3.0', options: ScriptedOptions): Promise<ScriptedConnector> {
    const connector = new ScriptedConnector(port, version, options);
    for (let i = 0; i < (options.window ?? 2); i++) await connector.#dial();
    return connector;
  }

  async #dial(): Promise<void> {
    if (this.#stopped) return;
    this.dialled++;
    const is3 = this.#version === '3.0';
    const peer = await CrankerPeer.register(this.#port, {
      ...this.#options,
      ...(is3 && this.#options.offers === undefined ? { offers: 'cranker_3.0, cranker_1.0' } : {}),
    });
    this.peers.add(peer);
    if (is3) this.#serve3(peer);
    else this.#serve1(peer);
  }

  #serve1(peer: CrankerPeer): void {
    let text: string | null = null;
    const body: Buffer[] = [];
    peer.heard = ({ kind, bytes }) => {
      if (kind === 'close') {
        this.peers.delete(peer);
        if (!peer.isOver) peer.close(1000);
        return;
      }
      if (kind === 'binary') body.push(bytes);
      if (kind !== 'text') return;
      const said = bytes.toString();
      if (said === '_3') void this.#answer1(peer, text!, Buffer.concat(body));
      else {
        text = said;
        void this.#dial().catch(() => {});
        if (said.endsWith('_2')) void this.#answer1(peer, said, Buffer.alloc(0));
      }
    };
  }

  async #answer1(peer: CrankerPeer, text: string, body: Buffer): Promise<void> {
    const request = served(text.slice(0, -2), body);
    this.served.push(request);
    const { status = 200, fields = [], body: out = '' } = (await this.#options.answer?.(request)) ?? {};
    peer.text(dialects[this.#options.dialect ?? 'jc']!(status, fields, request.line));
    const bytes = Buffer.from(out as string);
    for (let from = 0; from < bytes.length; from += 16_384) peer.binary(bytes.subarray(from, from + 16_384));
    peer.close(1000);
    this.peers.delete(peer);
  }

  #serve3(peer: CrankerPeer): void {
    const open = new Map<number, { text: string; body: Buffer[] }>();
    peer.heard = ({ kind, bytes, code }) => {
      if (kind === 'close') {
        this.peers.delete(peer);
        if (!peer.isOver) peer.close(code === 1001 ? 1001 : 1000);
        return;
      }
      if (kind !== 'binary') return;
      const { type, flags, id, payload } = readFrame3(bytes);
      if (type === HEADER) {
        const stream = open.get(id) ?? { text: '', body: [] };
        open.set(id, stream);
        stream.text += payload.toString();
      } else if (type === DATA) open.get(id)?.body.push(payload);
      else if (type === RST) open.delete(id);
      if (type === HEADER || type === DATA) peer.binary(frame3(WINUP, 0, id, i32(payload.length)));
      const stream = open.get(id);
      const ends = (type === HEADER && (flags & 5) === 5) || (type === DATA && (flags & 1) === 1);
      if (stream !== undefined && ends) {
        open.delete(id);
        void this.#answer3(peer, id, served(stream.text, Buffer.concat(stream.body)));
      }
    };
  }

  async #answer3(peer: CrankerPeer, id: number, request: Served): Promise<void> {
    this.served.push(request);
    const { status = 200, fields = [], body = '' } = (await this.#options.answer?.(request)) ?? {};
    peer.binary(frame3(HEADER, 4, id, dialects[this.#options.dialect ?? 'jc']!(status, fields, request.line)));
    const bytes = Buffer.from(body as string);
    for (let from = 0; from < bytes.length; from += 16_000) peer.binary(frame3(DATA, 0, id, bytes.subarray(from, from + 16_000)));
    peer.binary(frame3(DATA, 1, id));
  }

  /** Deregisters, and answers what runs. */
  async deregister(): Promise<CrankerPeer> {
    this.#stopped = true;
    return CrankerPeer.ask(this.#port, { ...this.#options, path: '/deregister/' });
  }

  /** Dies. */
  kill(): void {
    this.#stopped = true;
    for (const peer of this.peers) peer.drop();
  }
}

function served(text: string, body: Buffer): Served {
  const [line, ...lines] = text.split('\n');
  return {
    line: line!,
    fields: new Map(lines.filter((one) => one !== '').map((one) => [one.slice(0, one.indexOf(':')).toLowerCase(), one.slice(one.indexOf(':') + 1)])),
    body,
  };
}
