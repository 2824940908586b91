import type { Handler, Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import type { ServerOptions } from '../http/server-h1.ts';
import { isOfAgent, type SlimeDesk } from '../tunnel/slime/desk.ts';

/** Tells agents of slime from applications, which come in at the same door: neither passwords nor limits for applications are about agents. */
export class SlimeDoor implements Handler {
  readonly #desk: SlimeDesk;
  readonly #door: Handler;
  readonly #refuse: ServerOptions['refuse'];

  constructor(desk: SlimeDesk, door: Handler, refuse: ServerOptions['refuse']) {
    this.#desk = desk;
    this.#door = door;
    this.#refuse = refuse;
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    if (isOfAgent(head)) return this.#desk.open(head, reply);
    // The socket is still open, but for answers alone: agents of slime bring them on new connections.
    if (this.#desk.isFinishing) return this.#refuse(new Failure('draining', 'the hub is stopping', 1), head.peer, head, reply, notes);
    return this.#door.open(head, reply, notes);
  }
}
