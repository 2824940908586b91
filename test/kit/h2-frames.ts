import net from 'node:net';
import { once } from 'node:events';
import { soon } from './until.ts';

/** Frame types (RFC 9113 6). */
export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;

/** Error codes (RFC 9113 7). */
export const NO_ERROR = 0;
export const PROTOCOL_ERROR = 1;
export const INTERNAL_ERROR = 2;
export const FLOW_CONTROL_ERROR = 3;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const COMPRESSION_ERROR = 9;
export const ENHANCE_YOUR_CALM = 11;

/** One frame as it came. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A frame as text of the wire. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const out = Buffer.alloc(9 + payload.length);
  out.writeUIntBE(payload.length, 0, 3);
  out[3] = type;
  out[4] = flags;
  out.writeUInt32BE(stream, 5);
  out.set(payload, 9);
  return out;
}

/** A list of fields in HPACK, as literals without indexing and without Huffman (RFC 7541 6.2.2): whatever is said is sent, allowed or not. */
export function hpack(fields: readonly (readonly [string, string])[]): Buffer {
  const out: Buffer[] = [];
  for (const [name, value] of fields) {
    out.push(Buffer.from([0]));
    for (const text of [name, value]) {
      const bytes = Buffer.from(text, 'latin1');
      out.push(integer(bytes.length, 7), bytes);
    }
  }
  return Buffer.concat(out);
}

/** RFC 7541 5.1. */
function integer(value: number, bits: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.from([value]);
  const out = [most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
  return Buffer.from(out);
}

/** Payload of an RST_STREAM, or of anything else that is one number. */
export function word(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

/** Payload of SETTINGS: pairs of identifier and value. */
export function settings(...pairs: readonly (readonly [number, number])[]): Buffer {
  const out = Buffer.alloc(6 * pairs.length);
  pairs.forEach(([id, value], i) => {
    out.writeUInt16BE(id, 6 * i);
    out.writeUInt32BE(value, 6 * i + 2);
  });
  return out;
}

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** A client of HTTP/2 that sends exactly the frames that it is told to. */
export class FrameClient {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  /** Bytes of DATA, without padding: ours sends none. */
  received = 0;
  ended = false;
  #rest = Buffer.alloc(0);
  #wake: (() => void)[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#take(chunk);
      this.#tell();
    });
    const over = (): void => {
      this.ended = true;
      this.#tell();
    };
    socket.on('end', over);
    socket.on('error', over);
    socket.on('close', over);
  }

  /** Connected, the preface and SETTINGS sent; those of the server have come. */
  static async connect(
    later: (close: () => unknown) => void,
    port: number,
    own: readonly (readonly [number, number])[] = [],
    acknowledges = true,
  ): Promise<FrameClient> {
    const socket = net.connect(port, '127.0.0.1');
    later(() => socket.destroy());
    const client = new FrameClient(socket);
    await once(socket, 'connect');
    socket.write(Buffer.concat([Buffer.from(PREFACE, 'latin1'), frame(SETTINGS, 0, 0, settings(...own))]));
    await client.until('the SETTINGS of the server', () => client.frames.some(({ type, flags }) => type === SETTINGS && flags === 0));
    if (acknowledges) client.send(frame(SETTINGS, ACK, 0));
    return client;
  }

  #take(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      if (bytes[3] === DATA) this.received += length;
      // What is read much of is not kept.
      const payload = bytes[3] === DATA ? Buffer.alloc(0) : Buffer.from(bytes.subarray(9, 9 + length));
      this.frames.push({ type: bytes[3]!, flags: bytes[4]!, stream: bytes.readUInt32BE(5) & 0x7fffffff, payload });
      bytes = bytes.subarray(9 + length);
    }
    this.#rest = Buffer.from(bytes);
  }

  #tell(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  /** Waits until it is so, or fails when the connection has ended and it is not. */
  async until(what: string, done: () => boolean): Promise<void> {
    await soon(
      what,
      (async () => {
        while (!done()) {
          if (this.ended) throw new Error(`the connection ended before ${what}; frames: ${JSON.stringify(this.frames.slice(-5))}`);
          await new Promise<void>((resolve) => this.#wake.push(resolve));
        }
      })(),
      15_000,
    );
  }

  /** Waits until the server has closed the connection. @returns the error code of its last GOAWAY; -1 without one */
  async closing(): Promise<number> {
    await soon(
      'the server to close the connection',
      (async () => {
        while (!this.ended) await new Promise<void>((resolve) => this.#wake.push(resolve));
      })(),
      15_000,
    );
    return this.goaway;
  }

  /** The error code of the last GOAWAY; -1 without one. */
  get goaway(): number {
    const last = this.frames.findLast(({ type }) => type === GOAWAY);
    return last === undefined ? -1 : last.payload.readUInt32BE(4);
  }

  /** The code with which a stream was reset; -1 when it was not. */
  resetOf(stream: number): number {
    const found = this.frames.find((one) => one.type === RST_STREAM && one.stream === stream);
    return found === undefined ? -1 : found.payload.readUInt32BE(0);
  }

  /** Has the answer of a stream begun? */
  answered(stream: number): boolean {
    return this.frames.some((one) => one.type === HEADERS && one.stream === stream);
  }

  /** @returns false when the kernel has not taken it all */
  send(...frames: readonly Uint8Array[]): boolean {
    return this.socket.writable && this.socket.write(Buffer.concat(frames));
  }

  /** Waits until the kernel has taken everything, or the connection is gone. */
  async taken(): Promise<void> {
    if (this.socket.writableLength === 0 || this.ended) return;
    await Promise.race([once(this.socket, 'drain').catch(() => {}), this.closing().catch(() => {})]);
  }

  /** Sends the same again and again, in pieces, until the server has closed or it has been sent so often. @returns how often */
  async flood(count: number, make: (i: number) => Uint8Array, perWrite = 50): Promise<number> {
    let i = 0;
    while (i < count && !this.ended && this.goaway <= NO_ERROR) {
      const pieces: Uint8Array[] = [];
      for (let n = 0; n < perWrite && i < count; n++) pieces.push(make(i++));
      if (!this.send(...pieces)) await this.taken();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return i;
  }
}

/** The fields of a plain GET. */
export function get(path = '/', ...more: readonly (readonly [string, string])[]): Buffer {
  return hpack([[':method', 'GET'], [':scheme', 'http'], [':authority', 'example.org'], [':path', path], ...more]);
}

/** The fields of a POST. */
export function post(path = '/', ...more: readonly (readonly [string, string])[]): Buffer {
  return hpack([[':method', 'POST'], [':scheme', 'http'], [':authority', 'example.org'], [':path', path], ...more]);
}
