import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { Addressed, type AddressedOptions, type AddressedParts, type Trust } from './addressed.ts';
import type { Group } from './group.ts';
import { IDLE_CONNECTIONS, resolveLimits } from './limits.ts';
import { Lookups, type Resolve, type ResolveSettings, resolver } from './resolve.ts';
import type { UpstreamSettings } from './section.ts';
import { WatchedName } from './watched-name.ts';

export interface UpstreamsOptions extends Omit<AddressedOptions, 'random'> {
  readonly random?: () => number;
  /** Looks names up; absent: as this machine does. */
  readonly resolver?: (settings: ResolveSettings) => Resolve;
}

/**
 * All upstreams of addresses of a process. It lives longer than any configuration. For each configuration, also the first:
 *
 *     const plan = upstreams.plan(poolSize);
 *     for (…) router.add(plan.add(settings));   // cheap: do some, let the loop turn, do some more
 *     await plan.ready();                        // names are looked up, for 5 s at most; never fails
 *     plan.apply();                              // with the swap of the snapshot; or plan.discard()
 *
 * An upstream is known by its name and a member by its IP address and port: what stays the same from one configuration to the next is the same
 * Group and the same Member, with its connections, breaker, health and numbers. Until apply() nothing changes for the running configuration;
 * after it, upstreams that are in no configuration any more are closed (their requests finish), and an exchange of the old snapshot that asks its
 * Group once more gets what is configured now.
 */
export class Upstreams {
  readonly #options: AddressedOptions;
  readonly #resolver: (settings: ResolveSettings) => Resolve;
  readonly #lookups = new Lookups();
  #running = new Map<string, Addressed>();
  #trusts = new Map<string, Trust>();
  #resolves = new Map<string, Resolve>();

  constructor(options: UpstreamsOptions) {
    this.#options = { ...options, random: options.random ?? Math.random };
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
      applied: (running) => {
        this.#running = running;
        this.#trusts = trusts;
        this.#resolves = resolves;
      },
    });
  }

  /** Ends all. */
  close(): void {
    for (const addressed of this.#running.values()) addressed.close();
    this.#running.clear();
  }
}

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
  applied(running: Map<string, Addressed>): void;
}

/** A configuration that is being made. */
export class UpstreamPlan {
  readonly #options: PlanOptions;
  readonly #planned = new Map<string, { readonly addressed: Addressed; readonly parts: AddressedParts }>();
  readonly #newNames: WatchedName[] = [];

  constructor(options: PlanOptions) {
    this.#options = options;
  }

  /** One upstream. @returns what requests are sent to from apply() on. @throws an Error for certificates that TLS refuses (upstreamFindings() finds them first) */
  add(settings: UpstreamSettings): Group {
    const before = this.#options.before.get(settings.name);
    const addressed = before ?? this.#options.make(settings);
    const names = this.#namesOf(settings, addressed);
    this.#planned.set(settings.name, {
      addressed,
      parts: { settings, names, trust: this.#options.trust(settings), poolSize: this.#options.poolSize, text: JSON.stringify(settings) },
    });
    return addressed.group;
  }

  /** Waits for the first answers about new names, but no longer than `maxMs`. What has not been found by then is sought further on. */
  async ready(maxMs: number = resolveLimits.firstMs): Promise<void> {
    if (this.#newNames.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, maxMs);
    });
    await Promise.race([Promise.all(this.#newNames.map((name) => name.look())), enough]);
    clearTimeout(timer);
  }

  /** From now on this is the configuration. */
  apply(): void {
    for (const { addressed, parts } of this.#planned.values()) if (!sameParts(addressed.parts, parts)) addressed.apply(parts);
    for (const [name, addressed] of this.#options.before) if (!this.#planned.has(name)) addressed.close();
    this.#options.applied(new Map([...this.#planned].map(([name, { addressed }]) => [name, addressed])));
  }

  /** It will not be used. */
  discard(): void {
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
