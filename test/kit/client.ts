import type net from 'node:net';
import { type Answer, type Ending, readAnswer } from './answer.ts';
import { soon, turns } from './until.ts';

/** A client that says exactly the bytes it is told to, and takes answers apart by rules of its own. */
export class RawClient {
  readonly socket: net.Socket;
  /** All that was heard is in the first #heardBytes of it. */
  #memory = Buffer.allocUnsafe(4096);
  #heardBytes = 0;
  #ending: Ending = 'open';
  #wake: (() => void)[] = [];
  /** Bytes of the stream that answer() has taken. */
  #taken = 0;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#keep(chunk);
      this.#tell();
    });
    socket.on('end', () => {
      if (this.#ending === 'open') this.#ending = 'fin';
      this.#tell();
    });
    socket.on('error', () => {
      this.#ending = 'reset';
      this.#tell();
    });
    socket.on('close', () => {
      if (this.#ending === 'open') this.#ending = 'reset';
      this.#tell();
    });
  }

  #keep(chunk: Buffer): void {
    const total = this.#heardBytes + chunk.length;
    if (total > this.#memory.length) {
      const larger = Buffer.allocUnsafe(2 * total);
      this.#memory.copy(larger, 0, 0, this.#heardBytes);
      this.#memory = larger;
    }
    chunk.copy(this.#memory, this.#heardBytes);
    this.#heardBytes = total;
  }

  #tell(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const one of wake) one();
  }

  /** Bytes heard so far. */
  get heardBytes(): number {
    return this.#heardBytes;
  }

  /** How the server's side of the connection stands. */
  get ending(): Ending {
    return this.#ending;
  }

  /** All that was heard. */
  get stream(): Buffer {
    return this.#memory.subarray(0, this.#heardBytes);
  }

  get text(): string {
    return this.stream.toString('latin1');
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    return this;
  }

  /** Each piece in a packet of its own, as far as the kernel lets us say so. */
  async sendPieces(pieces: readonly (string | Uint8Array)[]): Promise<void> {
    for (const piece of pieces) {
      if (piece.length > 0) this.send(piece);
      await turns(3);
    }
  }

  /** FIN; reading goes on. */
  halfClose(): void {
    this.socket.end();
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Waits until `done` holds, looking again at whatever arrives. @throws when it has not after 8 s, or can no longer */
  async until(done: (client: RawClient) => boolean, what = 'bytes from the server'): Promise<void> {
    while (!done(this)) {
      if (this.#ending !== 'open')
        throw new Error(`the connection ended (${this.#ending}) before: ${what}; heard ${JSON.stringify(this.text.slice(0, 500))}`);
      await soon(what, new Promise<void>((resolve) => this.#wake.push(resolve)));
    }
  }

  /** Waits for the server's FIN or RST. */
  async ended(timeoutMs = 8_000): Promise<Ending> {
    while (this.#ending === 'open') await soon('the end of the connection', new Promise<void>((resolve) => this.#wake.push(resolve)), timeoutMs);
    return this.#ending;
  }

  /** The next answer, in full or as far as it came before the connection ended. */
  async answer(method = 'GET'): Promise<Answer> {
    for (;;) {
      const answer = readAnswer(this.stream.subarray(this.#taken), method, this.#ending);
      if (answer !== null && (answer.complete || this.#ending !== 'open')) {
        this.#taken += answer.bytes;
        return answer;
      }
      if (this.#ending !== 'open')
        throw new Error(`no answer: the connection ended (${this.#ending}) after ${JSON.stringify(this.text.slice(this.#taken))}`);
      await soon('an answer', new Promise<void>((resolve) => this.#wake.push(resolve)));
    }
  }

  /** Bytes heard beyond the answers taken. */
  get rest(): string {
    return this.stream.toString('latin1', this.#taken);
  }
}
