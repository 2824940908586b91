// HOT: open() and finished() run per request. Read this file first: it is the whole way of a request, in order.
import { claimClient } from '../http/client-address.ts';
import type { Handler, Notes, ReplySink, RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { tellForwarding } from '../http/forwarded.ts';
import type { Peer, RequestHead } from '../http/head.ts';
import { Exchange } from './exchange.ts';
import { RETRIES_AT_START, RETRIES_SAVED, RETRY_SHARE, SPARE_HEADS } from './limits.ts';
import { rescue, wishOf } from './rescue.ts';
import type { Site } from './site.ts';

/** The core: takes requests from any listener, finds somebody to answer them, and sees to it that each is answered exactly once. */
export class Proxy implements Handler {
  readonly site: Site;
  #arrivals = 0;
  #inside = 0;
  /** Requests over `concurrent`, in order of arrival. */
  readonly #entry: Exchange[] = [];
  /** Bytes of request bodies held for waiting requests now. */
  heldBytes = 0;
  readonly #spareHeads: RequestHead[] = [];
  /** Further attempts that may be made now. */
  #retries = RETRIES_AT_START;

  constructor(site: Site) {
    this.site = site;
  }

  open(head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    const { site } = this;
    if (head.peer.trusted) claimClient(head, site.trusts);
    const exchange = new Exchange(this, head, reply, notes, this.#arrivals++);
    site.metrics.inFlight++;
    if (this.#retries < RETRIES_SAVED) this.#retries += RETRY_SHARE;
    // 1. May it come in?
    const refusal = this.#admit(head);
    if (refusal !== null) {
      exchange.fail(refusal);
      return exchange;
    }
    // 2. Is there room inside?
    if (site.concurrent > 0 && this.#inside >= site.concurrent) {
      if (this.#entry.length >= site.entryQueue) exchange.fail(new Failure('queue_full', `${this.#entry.length} requests wait already`, 1));
      else {
        this.#entry.push(exchange);
        exchange.waitOutside(head);
      }
      return exchange;
    }
    this.#inside++;
    exchange.inside = true;
    // 3. To an endpoint, or into the queue; from there on the exchange runs by itself.
    exchange.proceed(head);
    return exchange;
  }

  #admit(head: RequestHead): Failure | null {
    const { site } = this;
    for (let i = 0; i < site.guards.length; i++) {
      const failure = site.guards[i]!(head);
      if (failure !== null) return failure;
    }
    if (head.upgrade !== '' && !site.upgrades.has(head.upgrade.toLowerCase())) head.upgrade = '';
    if (!tellForwarding(head, site.viaName)) return new Failure('loop_detected', `the request has come through ${site.viaName} too often`);
    return null;
  }

  /** The last byte of an answer is with the kernel, or the exchange died. Once per exchange. */
  finished(exchange: Exchange): void {
    const { site } = this;
    const { notes } = exchange;
    const now = site.loop.clock.now();
    const status = notes.failure !== null && (notes.status === 0 || notes.failure.status === 499) ? notes.failure.status : notes.status;
    site.metrics.inFlight--;
    site.metrics.finished(notes, status, now);
    if (notes.failure === null && notes.dispatchedMs > 0) site.upstream.served?.(now - notes.dispatchedMs);
    exchange.entry?.finished(status, now, '', '');
    if (exchange.inside) {
      exchange.inside = false;
      this.#inside--;
      const next = this.#entry.shift();
      if (next !== undefined) {
        this.#inside++;
        next.inside = true;
        next.enter();
      }
    }
  }

  /** A copy of a head, for a request that waits. */
  keep(head: RequestHead): RequestHead {
    return head.keep(this.#spareHeads.pop());
  }

  /** A copy that nobody needs any more: under load every request waits, and a new copy for each is work for the collector. */
  giveBack(copy: RequestHead): void {
    if (copy.isCopy && this.#spareHeads.length < SPARE_HEADS) this.#spareHeads.push(copy);
  }

  /** May one more request be tried again? Takes from the budget when it may. */
  mayRetry(): boolean {
    if (this.#retries < 1) return false;
    this.#retries--;
    return true;
  }

  /** A request that waited to come inside left, or its time was over. */
  leaveEntry(exchange: Exchange): void {
    const at = this.#entry.indexOf(exchange);
    if (at >= 0) this.#entry.splice(at, 1);
  }

  /** Requests that wait for room inside. */
  get waitingOutside(): number {
    return this.#entry.length;
  }

  /** For a server: answers what never became an exchange, and logs it. */
  readonly refuse = (failure: Failure, peer: Peer, head: RequestHead | null, reply: ReplySink, notes: Notes): RequestSink => {
    const { site } = this;
    notes.failure = failure;
    if (head !== null && peer.trusted) claimClient(head, site.trusts);
    const entry = site.journal?.begin(head, notes, peer) ?? null;
    rescue(failure, reply, { wish: head === null ? 'any' : wishOf(head), pages: site.pages, requestId: '', entry });
    return {
      writer: null,
      write: () => true,
      end: () => {},
      abort: () => {},
      settled: () => {
        const now = site.loop.clock.now();
        site.metrics.finished(notes, failure.status, now);
        entry?.finished(failure.status, now, '', '');
      },
    };
  };

  /** For a server: answers an exchange that has been told to give up. */
  readonly rescue = (failure: Failure, reply: ReplySink): void =>
    rescue(failure, reply, { wish: 'any', pages: this.site.pages, requestId: '', entry: null });
}
