// HOT: open() and finished() run per request. Read this file first: it is the whole way of a request, in order.
import { claimClient } from '../http/client-address.ts';
import { Notes, type ReplySink, type RequestSink } from '../http/exchange.ts';
import { Failure } from '../http/failure.ts';
import { tellForwarding } from '../http/forwarded.ts';
import type { RequestHead } from '../http/head.ts';
import { websocketProblem } from '../http/websocket-upgrade.ts';
import { Exchange } from './exchange.ts';
import { RETRIES_AT_START, RETRIES_SAVED, RETRY_SHARE, SPARE_HEADS } from './limits.ts';
import type { Location, Match } from './location.ts';
import { Nobody } from './nobody.ts';
import type { PluginExchange } from './plugin.ts';
import type { PluginChain } from './plugin-chain.ts';
import { PluginRun } from './plugin-run.ts';
import { RequestFront } from './request-front.ts';
import type { Site } from './site.ts';
import type { LocationTally } from './tally.ts';

/** The core: finds somebody to answer each request, and sees to it that each is answered exactly once. Servers reach it through a Door. */
export class Proxy {
  #arrivals = 0;
  readonly #spareHeads: RequestHead[] = [];
  /** Further attempts that may be made now. */
  #retries = RETRIES_AT_START;

  open(site: Site, head: RequestHead, reply: ReplySink, notes: Notes): RequestSink {
    if (this.#retries < RETRIES_SAVED) this.#retries += RETRY_SHARE;
    if (head.peer.trusted) claimClient(head, site.trusts);
    if (site.tracer !== null) site.tracer.begin(head, notes);
    // What is logged is what came.
    const entry = site.journal === null ? null : site.journal.begin(head, notes, head.peer);
    // 1. May it come in, and where does it belong?
    const refusal = look(site, head);
    const match = refusal === null ? site.find(head) : null;
    const exchange = new Exchange(this, site, match, head, reply, notes, entry, this.#arrivals++);
    tallyOf(exchange).inFlight++;
    if (match === null) {
      exchange.fail(refusal ?? site.missing(head));
      return exchange;
    }
    // 2. What of it goes on?
    const why = this.#admit(exchange, match, head, notes);
    if (why !== null) {
      exchange.fail(why);
      return exchange;
    }
    // 3. What do its plugins say?
    const { plugins } = match.value;
    if (plugins !== null && plugins.changesRequests) exchange.front = new RequestFront(exchange);
    if (plugins === null || this.#goesPast(plugins, exchange, head, reply)) this.enter(exchange, head);
    return exchange.front ?? exchange;
  }

  /** @returns false when it is answered already, or waits for a plugin */
  #goesPast(plugins: PluginChain, exchange: Exchange, head: RequestHead, reply: ReplySink): boolean {
    const run = new PluginRun(plugins, exchange, head, reply);
    exchange.run = run;
    exchange.reply = run;
    const outcome = run.begin(() => exchange.resume());
    if (outcome === 'waits') exchange.pause(head);
    return outcome === 'go';
  }

  /** Makes a request once more for nobody, from behind the plugin that is being asked. */
  repeat(of: Exchange, prepare: (again: PluginExchange) => void): void {
    const { site, location, captures, upstream } = of;
    const notes = new Notes(site.loop.clock.now());
    const nobody = new Nobody(notes);
    const head = of.run!.request.head.keep();
    const exchange = new Exchange(this, site, { value: location, captures }, head, nobody, notes, null, this.#arrivals++);
    const run = of.run!.again(exchange, head, nobody);
    tallyOf(exchange).inFlight++;
    nobody.request = exchange;
    exchange.upstream = upstream;
    exchange.run = run;
    exchange.reply = run;
    prepare(run);
    const outcome = run.begin(() => exchange.resume());
    if (outcome === 'waits') exchange.pause(head);
    else if (outcome === 'go') this.enter(exchange, head);
    exchange.end();
  }

  /** Lets a request in that nothing speaks against. */
  enter(exchange: Exchange, head: RequestHead): void {
    // Plugins may have changed it.
    if (exchange.run !== null && exchange.entry !== null) exchange.entry.changed(head);
    if (exchange.upstream === null) {
      exchange.fail(new Failure('no_location', 'there is no upstream for this address'));
      return;
    }
    // 4. Is there room inside?
    const { anteroom } = exchange.site;
    if (anteroom !== null && !anteroom.enter()) {
      if (anteroom.wait(exchange)) exchange.waitOutside(head, anteroom);
      else exchange.fail(new Failure('queue_full', `${anteroom.waiting} requests wait already`, 1));
      return;
    }
    exchange.inside = anteroom;
    // 5. To an endpoint, or into the queue; from there on the exchange runs by itself.
    exchange.proceed(head);
  }

  #admit(exchange: Exchange, { value: location, captures }: Match<Location>, head: RequestHead, notes: Notes): Failure | null {
    if (location.bodyBytes > 0 && head.length > location.bodyBytes)
      return new Failure('body_too_large', `the body has ${head.length} bytes, of at most ${location.bodyBytes}`);
    if (location.maxRunning > 0) {
      const { load } = location;
      if (load.running >= location.maxRunning) return new Failure('too_many_requests', `${load.running} requests run already`, 1);
      load.running++;
      exchange.load = load;
    }
    if (head.upgrade !== '' && !location.upgrades.has(head.upgrade.toLowerCase())) head.upgrade = '';
    if (head.upgrade !== '' && head.upgrade.toLowerCase() === 'websocket') {
      const problem = websocketProblem(head);
      if (problem !== null) return problem;
    }
    if (location.edits !== null) {
      const edited = location.edits.apply(head, captures, notes);
      if (edited instanceof Failure) return edited;
      exchange.captures = edited;
      exchange.entry?.changed(head);
    }
    exchange.upstream = location.upstream ?? location.choose?.(exchange.captures) ?? null;
    return exchange.isGrpc ? exchange.obeyClient(head) : null;
  }

  /** The last byte of an answer is with the kernel, or the exchange died. Once per exchange. */
  finished(exchange: Exchange): void {
    const { notes, site } = exchange;
    const now = site.loop.clock.now();
    const status = notes.failure !== null && (notes.status === 0 || notes.failure.status === 499) ? notes.failure.status : notes.status;
    const tally = tallyOf(exchange);
    tally.inFlight--;
    if (exchange.load !== null) exchange.load.running--;
    site.metrics.finished(tally, exchange.upstream, notes, status, now);
    if (notes.failure === null && notes.dispatchedMs > 0) exchange.upstream?.served?.(now - notes.dispatchedMs);
    // Plugins may have something to say in the log.
    exchange.run?.finished();
    if (notes.trace !== null) site.tracer?.finished(notes, notes.trace, status, now, exchange.location.name, exchange.upstream?.name ?? '');
    exchange.entry?.finished(status, now, exchange.location.name, exchange.upstream?.name ?? '');
    exchange.inside?.exit();
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
}

function tallyOf({ location, site }: Exchange): LocationTally {
  return location.tally ?? site.tally;
}

/** Looks at what came before anything is done with it. @returns why it is not served, or null */
function look(site: Site, head: RequestHead): Failure | null {
  const { guards } = site;
  for (let i = 0; i < guards.length; i++) {
    const failure = guards[i]!(head);
    if (failure !== null) return failure;
  }
  if (!tellForwarding(head, site.viaName)) return new Failure('loop_detected', `the request has come through ${site.viaName} too often`);
  return null;
}
