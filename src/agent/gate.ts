// HOT: open() runs per request.
import { type AllowRule, isAllowed } from '../schema/allow.ts';
import type { Endpoint, Handler, Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import type { RequestHead } from '../http/head.ts';
import { SLIME_AGENT_TOKEN, SLIME_APP_PASSWORD, SLIME_CONNECTION_ID, WINDLASS_HUB, WINDLASS_TOKEN } from '../http/names.ts';

/** Stands between a hub and the upstream: a hub can ask for anything, the agent's owner says what it gets (threat row 45). */
export class Gate implements Handler {
  readonly #endpoint: Endpoint;
  readonly #allow: readonly AllowRule[];
  readonly #upgrades: ReadonlySet<string>;
  forbidden = 0;
  requests = 0;

  constructor(endpoint: Endpoint, allow: readonly AllowRule[], upgrades: readonly string[]) {
    this.#endpoint = endpoint;
    this.#allow = allow;
    this.#upgrades = new Set(upgrades);
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    this.requests++;
    // The hub has taken these out; a hub that has not must still not leak them.
    if (head.has(SLIME_APP_PASSWORD)) head.remove(SLIME_APP_PASSWORD);
    if (head.has(SLIME_AGENT_TOKEN)) head.remove(SLIME_AGENT_TOKEN);
    if (head.has(SLIME_CONNECTION_ID)) head.remove(SLIME_CONNECTION_ID);
    if (head.has(WINDLASS_TOKEN)) head.remove(WINDLASS_TOKEN);
    if (head.has(WINDLASS_HUB)) head.remove(WINDLASS_HUB);
    if (head.upgrade !== '' && !this.#upgrades.has(head.upgrade.toLowerCase())) head.upgrade = '';
    if (this.#allow.length > 0 && !isAllowed(this.#allow, head.method, head.path)) {
      this.forbidden++;
      reply.abort(new Failure('forbidden_target', 'the agent does not serve this method and path (its --allow rules)'));
      reply.settled();
      return NOWHERE;
    }
    return this.#endpoint.open(head, reply, notes);
  }
}

const NOWHERE: RequestSink = Object.freeze({
  get writer() {
    return null;
  },
  set writer(_writer) {},
  write: () => true,
  end: () => {},
  abort: () => {},
  settled: () => {},
});
