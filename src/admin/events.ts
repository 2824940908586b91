import { Buffer } from 'node:buffer';
import type { Timed } from '../std/sweeper.ts';
import type { Loop } from '../std/loop.ts';
import type { ReplySink } from '../http/exchange.ts';
import { type HeaderList, ResponseHead, UNKNOWN_LENGTH } from '../http/head.ts';
import { GUARDS } from './answer.ts';
import { adminLimits } from './limits.ts';
import type { EventOut } from './route.ts';

/** Server-sent events. */
export const EVENTS_TYPE = 'text/event-stream; charset=utf-8';

/**
 * An answer that is a stream of events (server-sent events). Who does not read misses what happens meanwhile, and is told how much in an event `missed`:
 * nothing is kept for it here.
 */
export class EventStream implements EventOut, Timed {
  readonly #reply: ReplySink;
  readonly #loop: Loop;
  readonly #may: () => boolean;
  #stop: () => void = () => {};
  #isFull = false;
  #isOver = false;
  #missed = 0;
  #pingMs: number;
  due: number;
  place = -1;

  /** `may`: may its reader still see it? */
  constructor(reply: ReplySink, loop: Loop, may: () => boolean, fields: HeaderList = []) {
    this.#reply = reply;
    this.#loop = loop;
    this.#may = may;
    const now = loop.clock.now();
    this.due = now + adminLimits.eventCheckMs;
    this.#pingMs = now + adminLimits.eventPingMs;
    reply.writer = {
      drained: () => {
        this.#isFull = false;
        const missed = this.#missed;
        this.#missed = 0;
        if (missed > 0) this.send('missed', { count: missed });
      },
    };
    // Proxies in front that collect answers would show everything late.
    const head = ['Content-Type', EVENTS_TYPE, 'Cache-Control', 'no-store', 'X-Accel-Buffering', 'no', ...GUARDS, ...fields];
    reply.head(ResponseHead.make(200, head, UNKNOWN_LENGTH));
    this.#write(': windlass\n\n');
    loop.sweeper.add(this);
  }

  /** What begins to send; it gives back what ends that. */
  begin(events: (out: EventOut) => () => void): void {
    const stop = events(this);
    if (this.#isOver) stop();
    else this.#stop = stop;
  }

  send(event: string, data: unknown): void {
    if (this.#isOver) return;
    if (this.#isFull) this.#missed++;
    else this.#write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  end(): void {
    if (this.#isOver) return;
    this.#reply.end();
    this.close();
  }

  /** Nobody reads it any more. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#loop.sweeper.remove(this);
    this.#stop();
    this.#reply.settled();
  }

  expired(now: number): void {
    this.due = now + adminLimits.eventCheckMs;
    if (!this.#may()) this.end();
    else if (now >= this.#pingMs && !this.#isFull) this.#write(': ping\n\n');
  }

  #write(text: string): void {
    this.#pingMs = this.#loop.clock.now() + adminLimits.eventPingMs;
    if (!this.#reply.write(Buffer.from(text, 'utf8'))) this.#isFull = true;
  }
}
