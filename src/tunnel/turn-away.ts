import { Buffer } from 'node:buffer';
import type { Failure } from '../http/failure.ts';
import { REASONS } from '../http/write.ts';
import type { Loop } from '../std/loop.ts';
import type { Wire, WireUser } from '../std/wire.ts';
import { tunnelLimits } from './limits.ts';

/** Refuses a connection that asked to be taken over: an answer in problem+json, then its end. */
export function turnAway(wire: Wire, loop: Loop, failure: Failure): void {
  const { status } = failure;
  const title = REASONS[status] ?? 'Error';
  const body = Buffer.from(`${JSON.stringify({ type: 'about:blank', title, status, detail: failure.detail, code: failure.code })}\n`);
  const retry = failure.retryAfterS > 0 ? `Retry-After: ${failure.retryAfterS}\r\n` : '';
  const challenge = status === 401 ? 'WWW-Authenticate: Windlass-Token\r\n' : '';
  const date = new Date(loop.clock.wall()).toUTCString();
  const head = `HTTP/1.1 ${status} ${title}\r\nDate: ${date}\r\nContent-Type: application/problem+json\r\nContent-Length: ${body.length}\r\n${challenge}${retry}Connection: close\r\n\r\n`;
  wire.user = new Leaver(wire, loop);
  wire.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
  wire.end();
}

/** Sees a connection off: reads nothing more, and waits for the peer's FIN, but not for long. */
class Leaver implements WireUser {
  due: number;
  place = -1;
  readonly #wire: Wire;
  readonly #loop: Loop;

  constructor(wire: Wire, loop: Loop) {
    this.#wire = wire;
    this.#loop = loop;
    this.due = loop.clock.now() + tunnelLimits.lingerMs;
    loop.sweeper.add(this);
  }

  expired(): void {
    this.due = Infinity;
    this.#wire.destroy();
  }

  received(): void {}

  finished(): void {
    this.#wire.destroy();
  }

  drained(): void {}

  closed(): void {
    this.#loop.sweeper.remove(this);
  }
}
