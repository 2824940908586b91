import { claimClient } from '../http/client-address.ts';
import type { Handler, Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import type { Peer, RequestHead } from '../http/head.ts';
import type { ServerOptions } from '../http/server-h1.ts';
import type { Proxy } from './handle.ts';
import { rescue, wishOf } from './rescue.ts';
import type { Site } from './site.ts';

/** Where a server's requests enter the core. What is served behind it changes by one assignment: requests that are inside keep what they began with. */
export class Door implements Handler {
  readonly #proxy: Proxy;
  site: Site;

  constructor(proxy: Proxy, site: Site) {
    this.#proxy = proxy;
    this.site = site;
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    this.#judge(head.peer);
    return this.#proxy.open(this.site, head, reply, notes);
  }

  /** A connection outlives the configuration that it came under: whether its other end is believed is for the present one to say. */
  #judge(peer: Peer): void {
    const { site } = this;
    if (peer.judge === site) return;
    peer.judge = site;
    peer.trusted = site.trusts(peer.address);
    peer.forwardedFor = '\0';
  }

  /** For a server: answers what never became an exchange, and logs it. */
  readonly refuse: ServerOptions['refuse'] = (failure, peer, head, reply, notes, asksGrpc = false) => {
    const { site } = this;
    notes.failure = failure;
    this.#judge(peer);
    if (head !== null && peer.trusted) claimClient(head, site.trusts);
    const entry = site.journal?.begin(head, notes, peer) ?? null;
    rescue(failure, reply, { wish: asksGrpc ? 'grpc' : head === null ? 'any' : wishOf(head), pages: site.pages, requestId: '', entry });
    return {
      writer: null,
      write: () => true,
      end: () => {},
      abort: () => {},
      settled: () => {
        const now = site.loop.clock.now();
        site.metrics.finished(site.tally, null, notes, failure.status, now);
        entry?.finished(failure.status, now, '', '');
      },
    };
  };

  /** For a server: answers an exchange that has been told to give up. */
  readonly rescue: ServerOptions['rescue'] = (failure, reply, asksGrpc) =>
    rescue(failure, reply, { wish: asksGrpc ? 'grpc' : 'any', pages: this.site.pages, requestId: '', entry: null });
}
