import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { ResponseHead } from '../http/head.ts';
import { Addressed, type AddressedOptions, type AddressedParts, type Trust } from './addressed.ts';
import type { Group } from './group.ts';
import { IDLE_CONNECTIONS, resolveLimits } from './limits.ts';
import { Lookups, type Resolve, type ResolveSettings, resolver } from './resolve.ts';
import type { UpstreamSettings } from './section.ts';
import { WatchedName } from './watched-name.ts';

export interface UpstreamsOptions extends Omit<AddressedOptions, 'random' | 'scratch'> {
  readonly random?: () => number;
  /** Looks names up; absent: as this machine does. */
  readonly resolver?: (settings: ResolveSettings) => Resolve;
}

/**
 * All upstreams of addresses of a process. It lives longer than any configuration. For each configuration, also the first:
 *
 *     const plan = upstreams.plan(poolSize);
 *     for (…) router.add(plan.add(settings));   // do some, let the loop turn, do some more
 *     await plan.ready();                        // names are looked up, for 5 s at most; never fails
 *     plan.apply();                              // with the swap of the snapshot; or plan.discard()
 *
 * An upstream is known by its name and a member by its IP address and port: what stays the same from one configuration to the next is the same
 * Group and the same Member, with its connections, breaker, health and numbers. Until apply() nothing changes for the running configuration;
 * after it, upstreams that are in no configuration any more are closed (their requests finish), and an exchange of the old snapshot that asks its
 * Group once more gets what is configured now. apply() works for a few milliseconds at most: when hundreds of upstreams have changed, the last of
 * them go over to their new settings some turns of the loop later.
 */
export class Upstreams {
  readonly #options: AddressedOptions;
  readonly #resolver: (settings: ResolveSettings) => Resolve;
  readonly #lookups = new Lookups();
  #running = new Map<string, Addressed>();
  #trusts = new Map<string, Trust>();
  #resolves = new Map<string, Resolve>();
  /** What is left to do of the last apply(). */
  #work: (() => void)[] = [];

  constructor(options: UpstreamsOptions) {
    this.#options = { ...options, random: options.random ?? Math.random, scratch: new ResponseHead(options.limits.fieldCount) };
    this.#resolver = options.resolver ?? resolver;
  }

  /** Those of the running configuration, by name. */
  get groups(): readonly Group[] {
    return [...this.#running.values()].map(({ group }) => group);
  }

  group(name: string): Group | undefined {
    return this.#running.get(name)?.group;
  }

  /** Begins a configuration. One at a time: the one before it must have been applied or discarded. `poolSize`: idle connections kept for each address whose upstream does not say. */
  plan(poolSize: number = IDLE_CONNECTIONS): UpstreamPlan {
    this.#finish();
    const trusts = new Map<string, Trust>();
    const resolves = new Map<string, Resolve>();
    return new UpstreamPlan({
      before: this.#running,
      poolSize,
      make: (settings) => new Addressed(settings, this.#options),
      watch: (name, { once, everyMs, ...how }, changed) =>
        new WatchedName({
          name,
          resolve: inMap(resolves, JSON.stringify(how), (key) => this.#resolves.get(key) ?? this.#lookups.inTurn(this.#resolver(how))),
          loop: this.#options.loop,
          once,
          everyMs,
          changed,
          failed: ({ code, message }) => this.#options.log.warn({ name, code: code ?? message }, 'a name of an upstream cannot be looked up'),
        }),
      trust: (settings) => {
        if (settings.sni === null) return null;
        return inMap(trusts, trustKey(settings), (key) => this.#trusts.get(key) ?? { context: contextOf(settings), key });
      },
      applied: (running, work) => {
        this.#running = running;
        this.#trusts = trusts;
        this.#resolves = resolves;
        this.#work = work;
        this.#slice();
      },
    });
  }

  /** Ends all. */
  close(): void {
    this.#finish();
    for (const addressed of this.#running.values()) addressed.close();
    this.#running.clear();
  }

  readonly #slice = (): void => {
    const { clock } = this.#options.loop;
    const endMs = clock.now() + APPLY_SLICE_MS;
    while (this.#work.length > 0) {
      this.#work.pop()!();
      if (clock.now() >= endMs && this.#work.length > 0) {
        setImmediate(this.#slice);
        return;
      }
    }
  };

  #finish(): void {
    while (this.#work.length > 0) this.#work.pop()!();
  }
}

/** How long apply() may hold up the loop at a time, ms. */
const APPLY_SLICE_MS = 5;

/** How a name is looked up, and how often. */
interface Watching extends ResolveSettings {
  readonly once: boolean;
  readonly everyMs: number | null;
}

interface PlanOptions {
  readonly before: ReadonlyMap<string, Addressed>;
  readonly poolSize: number;
  make(settings: UpstreamSettings): Addressed;
  watch(name: string, settings: Watching, changed: () => void): WatchedName;
  trust(settings: UpstreamSettings): Trust | null;
  /** `work`: what must still be done, each piece by itself. */
  applied(running: Map<string, Addressed>, work: (() => void)[]): void;
}

/** A configuration that is being made. */
export class UpstreamPlan {
  readonly #options: PlanOptions;
  readonly #planned = new Map<string, { readonly addressed: Addressed; readonly parts: AddressedParts }>();
  readonly #newNames: WatchedName[] = [];
  readonly #fresh: Addressed[] = [];

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  /** One upstream. @returns what requests are sent to from apply() on. @throws an Error for certificates that TLS refuses (upstreamFindings() finds them first) */
  add(settings: UpstreamSettings): Group {
    const before = this.#options.before.get(settings.name);
    const addressed = before ?? this.#options.make(settings);
    const names = this.#namesOf(settings, addressed);
    const { poolSize } = this.#options;
    const parts = { settings, names, trust: this.#options.trust(settings), poolSize, text: JSON.stringify(settings) };
    this.#planned.set(settings.name, { addressed, parts });
    if (before === undefined) {
      // Nobody knows it yet, so all the work can be done before the swap, where there is time.
      this.#fresh.push(addressed);
      if (names.size === 0) addressed.apply(parts);
    }
    return addressed.group;
  }

  /** Waits for the first answers about new names, but no longer than `maxMs`. What has not been found by then is sought further on. */
  async ready(maxMs: number = resolveLimits.firstMs): Promise<void> {
    if (this.#newNames.length > 0) {
      let timer: NodeJS.Timeout | undefined;
      const enough = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, maxMs);
      });
      await Promise.race([Promise.all(this.#newNames.map((name) => name.look())), enough]);
      clearTimeout(timer);
    }
    for (const addressed of this.#fresh) {
      if (addressed.parts !== null) continue;
      addressed.apply(this.#planned.get(addressed.group.name)!.parts);
      await new Promise<void>((next) => setImmediate(next));
    }
  }

  /** From now on this is the configuration. */
  apply(): void {
    const work: (() => void)[] = [];
    for (const [name, addressed] of this.#options.before) if (!this.#planned.has(name)) work.push(() => addressed.close());
    for (const { addressed, parts } of this.#planned.values()) {
      if (addressed.parts === null) addressed.apply(parts);
      else if (!sameParts(addressed.parts, parts)) work.push(() => addressed.apply(parts));
    }
    this.#options.applied(new Map([...this.#planned].map(([name, { addressed }]) => [name, addressed])), work);
  }

  /** It will not be used. */
  discard(): void {
    for (const addressed of this.#fresh) addressed.close();
    for (const name of this.#newNames) name.close();
  }

  #namesOf(settings: UpstreamSettings, addressed: Addressed): ReadonlyMap<string, WatchedName> {
    const names = new Map<string, WatchedName>();
    const watching = watchingOf(settings);
    const { parts } = addressed;
    const isSame = parts !== null && JSON.stringify(watchingOf(parts.settings)) === JSON.stringify(watching);
    for (const { host } of settings.addrs) {
      if (isIP(host) !== 0 || names.has(host)) continue;
      let name = isSame ? parts.names.get(host) : undefined;
      if (name === undefined) {
        const made: WatchedName = this.#options.watch(host, watching, () => addressed.moved(made));
        name = made;
        this.#newNames.push(made);
      }
      names.set(host, name);
    }
    return names;
  }
}

function watchingOf(settings: UpstreamSettings): Watching {
  const { dnsDomain, dnsSearch, dnsServer, ipv4Only, updateFrequency, discovery } = settings;
  return {
    servers: dnsServer,
    search: dnsDomain === null ? dnsSearch : [dnsDomain, ...dnsSearch],
    ipv4Only,
    once: discovery === 'static',
    everyMs: updateFrequency,
  };
}

/** Would apply() change nothing? */
function sameParts(a: AddressedParts | null, b: AddressedParts): boolean {
  if (a === null || a.text !== b.text || a.poolSize !== b.poolSize || a.trust?.key !== b.trust?.key) return false;
  for (const [host, name] of b.names) if (a.names.get(host) !== name) return false;
  return true;
}

function inMap<V>(map: Map<string, V>, key: string, make: (key: string) => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make(key);
    map.set(key, value);
  }
  return value;
}

function trustKey({ tlsCa, tlsCert, tlsKey }: UpstreamSettings): string {
  return createHash('sha256')
    .update(JSON.stringify([tlsCa?.text, tlsCert?.text, tlsKey?.text]))
    .digest('base64');
}

/** Made once for each set of certificates: reading all the authorities there are takes milliseconds. */
function contextOf({ tlsCa, tlsCert, tlsKey }: UpstreamSettings): tls.SecureContext {
  return tls.createSecureContext({
    minVersion: 'TLSv1.2',
    ...(tlsCa === null ? {} : { ca: tlsCa.text }),
    ...(tlsCert === null ? {} : { cert: tlsCert.text }),
    ...(tlsKey === null ? {} : { key: tlsKey.text }),
  });
}
