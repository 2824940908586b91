/** The parts of `ws` that know the framing of RFC 6455 and nothing of sockets. */
declare module 'ws' {
  import type { Writable } from 'node:stream';

  export interface ReceiverOptions {
    readonly isServer: boolean;
    readonly maxPayload: number;
    /** Pieces of one message, and chunks of bytes that are held for one; 0 = any number. */
    readonly maxFragments?: number;
    readonly maxBufferedChunks?: number;
  }

  /** Takes bytes; emits `message` (Buffer, isBinary), `ping` and `pong` (Buffer), `conclude` (close frame: code, Buffer), `error`. */
  export class Receiver extends Writable {
    constructor(options: ReceiverOptions);
  }

  /** What a Sender writes to. */
  export interface SenderSocket {
    cork(): void;
    uncork(): void;
    write(bytes: Buffer, done?: () => void): void;
  }

  export interface SendOptions {
    readonly binary: boolean;
    readonly fin: boolean;
    readonly mask: boolean;
    readonly compress: boolean;
  }

  export class Sender {
    constructor(socket: SenderSocket);
    send(data: Buffer, options: SendOptions, done?: () => void): void;
    ping(data: Buffer, mask: boolean, done?: () => void): void;
    pong(data: Buffer, mask: boolean, done?: () => void): void;
    close(code: number, reason: string, mask: boolean, done?: () => void): void;
  }
}
