import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { DATA, type Frame, frame3, HEADER, i32, type Message, readFrame3, WINUP } from './cranker-peer.ts';
import { soon } from './until.ts';

/** What a connector asked for when it dialled. */
export interface Asked {
  /** `/register/` or `/deregister/`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly fields: ReadonlyMap<string, string>;
}

/** How a router of the family answers a handshake: the lines of its 101 beside the usual, or a whole answer in place of one. */
export type RouterDialect = (asked: Asked) => readonly string[] | string;

/** As measured at the real ones. */
export const routers = {
  /** mu-cranker-router, both protocols: the connector's first choice, and `CrankerProtocol` with 1.0 only. */
  mu: ({ fields }) => {
    const offered = (fields.get('sec-websocket-protocol') ?? '').split(',').map((one) => one.trim());
    if (offered[0] === 'cranker_3.0') return ['Sec-WebSocket-Protocol: cranker_3.0'];
    return offered[0] === 'cranker_1.0' ? ['Sec-WebSocket-Protocol: cranker_1.0', 'CrankerProtocol: 1.0'] : ['CrankerProtocol: 1.0'];
  },
  /** The same, built for 1.0 only. */
  mu1: ({ fields }) => [...(fields.has('sec-websocket-protocol') ? ['Sec-WebSocket-Protocol: cranker_1.0'] : []), 'CrankerProtocol: 1.0'],
  /** crank4go's router: no subprotocol ever, 500 without `CrankerProtocol: 1.0`, and it panics at the end of a registration. */
  c4g: ({ path, fields }) => {
    if (fields.get('crankerprotocol') !== '1.0') return 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n';
    return path.startsWith('/deregister') ? '' : ['CrankerProtocol: 1.0'];
  },
  /** crank4j's router: knows no end of a registration. */
  c4j: ({ path }) =>
    path.startsWith('/deregister') ? 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' : ['CrankerProtocol: 1.0'],
  /** One that takes offence at subprotocols. */
  strict: ({ fields }) =>
    fields.has('sec-websocket-protocol') ? 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' : ['CrankerProtocol: 1.0'],
} satisfies Record<string, RouterDialect>;

/** A router that follows a script, made without any of our code. */
export class RouterPeer {
  readonly server: net.Server;
  readonly asked: Asked[] = [];
  readonly #dialect: RouterDialect;
  readonly #sockets: RouterSocket[] = [];
  readonly #all = new Set<RouterSocket>();
  #wake: (() => void)[] = [];
  /** Does it end a connection whose WebSocket is closed? crank4go never does. */
  hangsUp = true;
  /** What is done with a registration that ends; mu closes what is idle. */
  onDeregister: (farewell: RouterSocket) => void = (farewell) => {
    for (const one of this.open) if (one !== farewell && !one.isBusy) one.close(1001, 'Going away');
    farewell.close(1000, 'Deregister complete');
  };

  private constructor(dialect: RouterDialect, server: net.Server) {
    this.#dialect = dialect;
    this.server = server;
  }

  static async start(dialect: RouterDialect, server: net.Server = net.createServer({ allowHalfOpen: true }), port = 0): Promise<RouterPeer> {
    const peer = new RouterPeer(dialect, server);
    server.on(
      server.listenerCount('tlsClientError') > 0 || 'setSecureContext' in server ? 'secureConnection' : 'connection',
      (socket: net.Socket) => {
        peer.#met(socket);
      },
    );
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return peer;
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** Sockets that are registered and open. */
  get open(): readonly RouterSocket[] {
    return [...this.#all].filter((one) => !one.isOver && one.asked.path.startsWith('/register'));
  }

  #met(socket: net.Socket): void {
    let text = '';
    socket.on('error', () => {});
    const onData = (data: Buffer): void => {
      text += data.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', onData);
      const [first, ...lines] = text.slice(0, end).split('\r\n');
      const fields = new Map(
        lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const),
      );
      const url = new URL(first!.split(' ')[1]!, 'http://router');
      const asked: Asked = { path: url.pathname, query: url.searchParams, fields };
      this.asked.push(asked);
      const said = this.#dialect(asked);
      if (typeof said === 'string') {
        socket.end(said);
        this.#tell();
        return;
      }
      const accept = createHash('sha1')
        .update(`${fields.get('sec-websocket-key')}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64');
      socket.write(
        ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`, ...said, '', ''].join(
          '\r\n',
        ),
      );
      const one = new RouterSocket(socket, asked, this.hangsUp);
      this.#all.add(one);
      if (asked.path.startsWith('/deregister')) this.onDeregister(one);
      else this.#sockets.push(one);
      this.#tell();
    };
    socket.on('data', onData);
  }

  #tell(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  /** The next socket that registers. */
  socket(): Promise<RouterSocket> {
    return soon(
      'a registration',
      new Promise((resolve) => {
        const look = (): void => {
          const one = this.#sockets.shift();
          if (one !== undefined) resolve(one);
          else this.#wake.push(look);
        };
        look();
      }),
    );
  }

  close(): void {
    for (const one of this.#all) one.socket.destroy();
    this.server.close();
  }
}

const OPCODES = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const KINDS = new Map<number, Message['kind']>(Object.entries(OPCODES).map(([kind, code]) => [code, kind as Message['kind']]));

/** One WebSocket of a connector, as its router has it. It answers pings and closes, unless told not to. */
export class RouterSocket {
  readonly socket: net.Socket;
  readonly asked: Asked;
  answersPings = true;
  pings = 0;
  isBusy = false;
  isOver = false;
  /** Code of the connector's close; 1006 when it broke; 0 before. */
  closeCode = 0;
  closeReason = '';
  /** The largest message so far. */
  largest = 0;
  #bytes = Buffer.alloc(0);
  #closeSent = false;
  readonly #hangsUp: boolean;
  readonly #messages: Message[] = [];
  #wake: (() => void)[] = [];

  constructor(socket: net.Socket, asked: Asked, hangsUp: boolean) {
    this.socket = socket;
    this.asked = asked;
    this.#hangsUp = hangsUp;
    socket.on('end', () => {
      if (this.#hangsUp) socket.end();
    });
    socket.setNoDelay(true);
    socket.on('data', (data: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, data]);
      this.#read();
    });
    socket.on('close', () => {
      this.isOver = true;
      if (this.closeCode === 0) this.closeCode = 1006;
      this.#add({ kind: 'close', bytes: Buffer.alloc(0), code: 1006 });
    });
  }

  #read(): void {
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
      if (bytes.length < at + 4 + length) return;
      // Connectors must mask; one message is one frame, because mu takes each piece for a message.
      if ((bytes[0]! & 0xf0) !== 0x80 || (bytes[1]! & 0x80) === 0)
        throw new Error(`a frame that no connector may send: ${bytes.subarray(0, 2).toString('hex')}`);
      const kind = KINDS.get(bytes[0]! & 15)!;
      const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
      for (let i = 0; i < length; i++) payload[i]! ^= bytes[at + (i & 3)]!;
      this.#bytes = bytes.subarray(at + 4 + length);
      this.largest = Math.max(this.largest, kind === 'text' || kind === 'binary' ? length : 0);
      if (kind === 'ping') {
        this.pings++;
        if (this.answersPings) this.frame('pong', payload);
        continue;
      }
      if (kind === 'pong') continue;
      let code = 0;
      if (kind === 'close') {
        code = this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
        this.closeReason = payload.toString('utf8', 2);
        this.isOver = true;
        if (!this.#closeSent) this.close(1000);
        if (this.#hangsUp) this.socket.end();
      }
      this.#add({ kind, bytes: payload, code });
    }
  }

  #add(message: Message): void {
    this.#messages.push(message);
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  /** The next message that is no ping or pong. */
  next(): Promise<Message> {
    return soon(
      'a message of the connector',
      new Promise((resolve) => {
        const look = (): void => {
          const message = this.#messages.shift();
          if (message !== undefined) resolve(message);
          else this.#wake.push(look);
        };
        look();
      }),
    );
  }

  get waiting(): readonly Message[] {
    return this.#messages;
  }

  text(text: string): this {
    this.isBusy = true;
    return this.frame('text', Buffer.from(text));
  }

  binary(bytes: Uint8Array | string): this {
    return this.frame('binary', Buffer.from(bytes as string));
  }

  close(code?: number, reason = ''): this {
    this.#closeSent = true;
    const payload = Buffer.alloc(code === undefined ? 0 : 2 + Buffer.byteLength(reason));
    if (code !== undefined) payload.write(reason, payload.writeUInt16BE(code, 0));
    return this.frame('close', payload);
  }

  frame(kind: Message['kind'], payload: Buffer): this {
    if (this.socket.destroyed || !this.socket.writable) return this;
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
    head[0] = 0x80 | OPCODES[kind];
    if (length < 126) head[1] = length;
    else if (length < 65_536) {
      head[1] = 126;
      head.writeUInt16BE(length, 2);
    } else {
      head[1] = 127;
      head.writeBigUInt64BE(BigInt(length), 2);
    }
    this.socket.write(Buffer.concat([head, payload]));
    return this;
  }

  /** TCP without a word. */
  drop(): void {
    this.socket.resetAndDestroy();
  }

  // --- protocol 1.0

  /** Sends a request without a body, and reads the answer to its end. */
  async ask1(head: string): Promise<Answer> {
    this.text(`${head}\n_2`);
    return this.answer1();
  }

  /** The rest of an answer: head, body, close. */
  async answer1(): Promise<Answer> {
    let head = '';
    const pieces: Buffer[] = [];
    for (;;) {
      const message = await this.next();
      if (message.kind === 'text') head += message.bytes.toString();
      else if (message.kind === 'binary') pieces.push(message.bytes);
      else return { head, body: Buffer.concat(pieces), code: message.code, reason: message.bytes.toString('utf8', 2) };
    }
  }

  // --- protocol 3.0

  send3(type: number, flags: number, id: number, payload: Uint8Array | string = ''): this {
    if (type === HEADER) this.isBusy = true;
    return this.binary(frame3(type, flags, id, payload));
  }

  async next3(): Promise<Frame> {
    const message = await this.next();
    if (message.kind !== 'binary') throw new Error(`${message.kind} in protocol 3.0: ${message.code} ${message.bytes.toString()}`);
    return readFrame3(message.bytes);
  }

  /** Reads a stream's answer to its end, or its reset, and acknowledges what comes as mu does. Frames of other streams are thrown away. */
  async answer3(id: number): Promise<Answer & { acked: number }> {
    let head = '';
    let acked = 0;
    const pieces: Buffer[] = [];
    for (;;) {
      const { type, flags, id: of, payload } = await this.next3();
      if (of !== id) continue;
      if (type === WINUP) {
        acked += payload.readInt32BE(0);
        continue;
      }
      if (type === 3) return { head, body: Buffer.concat(pieces), code: payload.readInt32BE(0), reason: payload.toString('utf8', 4), acked };
      this.send3(WINUP, 0, id, i32(payload.length));
      if (type === HEADER) head += payload.toString();
      if (type === DATA) pieces.push(payload);
      if ((flags & 1) !== 0) return { head, body: Buffer.concat(pieces), code: 0, reason: '', acked };
    }
  }
}

/** An answer as it came. */
export interface Answer {
  readonly head: string;
  readonly body: Buffer;
  /** 1.0: code of the close. 3.0: that of the reset, 0 when it ended well. */
  readonly code: number;
  readonly reason: string;
}
