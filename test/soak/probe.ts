import net from 'node:net';

/** How often each one is asked, ms. */
const EVERY_MS = 40;
/** Answers that are remembered. */
const REMEMBERED = 300;

/** Asks one process again and again for something that it answers by itself: how long its round trip takes just now, in which whatever it waits for a processor is contained. */
export class Probe {
  readonly #port: () => number;
  readonly #text: string;
  #socket: net.Socket | null = null;
  #askedMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  readonly #asked: number[] = [];
  readonly #took: number[] = [];

  /** `port`: 0 while nobody is to be asked. */
  constructor(port: () => number, text: string) {
    this.#port = port;
    this.#text = text;
    this.#ask();
  }

  /** The longest round trip of those that were under way between two moments, ms. */
  longest(fromMs: number, toMs: number): number {
    let longest = 0;
    for (let i = 0; i < this.#asked.length; i++) {
      const asked = this.#asked[i]!;
      const took = this.#took[i]!;
      if (asked <= toMs && asked + took >= fromMs && took > longest) longest = took;
    }
    if (this.#askedMs !== 0 && this.#askedMs <= toMs) longest = Math.max(longest, performance.now() - this.#askedMs);
    return longest;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #ask(): void {
    this.#timer = null;
    if (this.#closed) return;
    const port = this.#port();
    if (port === 0) {
      this.#later(EVERY_MS);
      return;
    }
    let socket = this.#socket;
    if (socket === null) {
      socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
      this.#socket = socket;
      socket.on('data', () => this.#answered());
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#socket = null;
        this.#askedMs = 0;
        this.#later(EVERY_MS);
      });
      socket.on('end', () => socket!.destroy());
    }
    this.#askedMs = performance.now();
    socket.write(this.#text);
  }

  #answered(): void {
    if (this.#askedMs === 0) return;
    this.#asked.push(this.#askedMs);
    this.#took.push(performance.now() - this.#askedMs);
    this.#askedMs = 0;
    if (this.#asked.length > REMEMBERED) {
      this.#asked.splice(0, REMEMBERED / 2);
      this.#took.splice(0, REMEMBERED / 2);
    }
    this.#later(EVERY_MS);
  }

  #later(ms: number): void {
    if (this.#timer !== null || this.#closed) return;
    this.#timer = setTimeout(() => this.#ask(), ms);
  }
}
