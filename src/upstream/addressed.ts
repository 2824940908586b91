import { isIP } from 'node:net';
import type tls from 'node:tls';
import type { Loop } from '../std/loop.ts';
import type { Log } from '../observe/log.ts';
import type { ResponseHead } from '../http/head.ts';
import type { HttpLimits } from '../http/limits.ts';
import { formatAddress } from '../schema/address.ts';
import { forbiddenAddress } from '../schema/forbidden-address.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { Direct, type DirectOptions } from './direct.ts';
import { Group } from './group.ts';
import type { HealthChecks, HealthWatch } from './health/checks.ts';
import type { Member, MemberEndpoint, Place } from './member.ts';
import type { UpstreamSettings } from './section.ts';
import type { WatchedName } from './watched-name.ts';

/** What all upstreams of a process share. */
export interface AddressedOptions {
  readonly loop: Loop;
  readonly log: Log;
  readonly random: () => number;
  readonly limits: HttpLimits;
  /** Where heads of answers are parsed into, for all of them. */
  readonly scratch: ResponseHead;
  /** Probes members; null = nobody does. */
  readonly health: HealthChecks | null;
  /** Told that an endpoint has come, has left, or fares otherwise than before. */
  readonly turned?: () => void;
}

/** What is believed of a TLS server, and what is shown to it. */
export interface Trust {
  readonly context: tls.SecureContext;
  /** Of what it is made: contexts of one key are alike. */
  readonly key: string;
}

/** What an upstream is made of from now on. */
export interface AddressedParts {
  readonly settings: UpstreamSettings;
  /** The settings as text, to see whether they have changed: they are plain data. */
  readonly text: string;
  /** By host: the names among its addresses. */
  readonly names: ReadonlyMap<string, WatchedName>;
  /** For TLS; null without it. */
  readonly trust: Trust | null;
  /** Idle connections kept when the settings do not say. */
  readonly poolSize: number;
}

/** One upstream of addresses with all it takes: the group that requests are sent to, the names that are looked up for it, the ways to its members. */
export class Addressed {
  readonly group: Group;
  readonly #options: AddressedOptions;
  #parts: AddressedParts | null = null;
  /** How each endpoint is reached: another text is another way, which needs other connections. */
  readonly #ways = new WeakMap<MemberEndpoint, string>();
  readonly #probes = new Map<Member, { readonly key: string; readonly watch: HealthWatch }>();
  /** Addresses that were refused and told of. */
  readonly #refused = new Set<string>();

  constructor(settings: UpstreamSettings, options: AddressedOptions) {
    this.#options = options;
    const { loop, random, log, turned } = options;
    const connect = (place: Place, before: MemberEndpoint | null): MemberEndpoint => this.#connect(place, before);
    this.group = new Group(settings, { loop, random, log, connect, ...(turned === undefined ? {} : { turned }) });
    this.group.follow({
      joined: (member) => this.#probe(member),
      left: (member) => this.#unprobe(member),
    });
  }

  get settings(): UpstreamSettings {
    return this.group.settings;
  }

  /** What it is made of now; null before the first apply(). */
  get parts(): AddressedParts | null {
    return this.#parts;
  }

  /** From now on it is made of these. Members that stay keep everything, connections too while they lead to the same place in the same way. */
  apply(parts: AddressedParts): void {
    const before = this.#parts;
    this.#parts = parts;
    if (before !== null) for (const [host, name] of before.names) if (parts.names.get(host) !== name) name.close();
    const { settings } = parts;
    if (settings.sni !== null && !settings.verifyCert && (before === null || before.settings.verifyCert))
      this.#options.log.warn({ upstream: settings.name }, 'verify_cert = false: any certificate of this upstream is believed');
    if (before !== null) this.group.update(settings);
    this.#place();
    for (const member of this.group.members.values()) this.#probe(member);
  }

  /** The addresses of a name have changed. */
  moved(name: WatchedName): void {
    if (this.#parts?.names.get(name.name) === name) this.#place();
  }

  close(): void {
    for (const name of this.#parts?.names.values() ?? []) name.close();
    this.group.close();
  }

  #place(): void {
    const { settings, names } = this.#parts!;
    const places: Place[] = [];
    let unresolved = '';
    for (const { host, port, weight, priority, backup, load } of settings.addrs) {
      const name = names.get(host);
      const ips = name === undefined ? [host] : name.ips.filter((ip) => this.#may(host, ip));
      if (ips.length === 0) unresolved = host;
      for (const ip of ips) {
        const real = port === 0 ? (settings.sni === null ? 80 : 443) : port;
        places.push({ id: formatAddress({ host: ip, port: real }), ip, port: real, host, weight, priority, backup, load });
      }
    }
    this.group.unresolved = unresolved;
    this.group.place(places);
  }

  /** A name may be made to lead anywhere by whoever owns it. */
  #may(host: string, ip: string): boolean {
    const why = forbiddenAddress(ip);
    if (why === null) return true;
    const key = `${host} ${ip}`;
    if (!this.#refused.has(key)) {
      if (this.#refused.size < REFUSED_TOLD) this.#refused.add(key);
      this.#options.log.warn({ upstream: this.group.name, name: host, ip }, `an address of this name is not used: it ${why}`);
    }
    return false;
  }

  #connect(place: Place, before: MemberEndpoint | null): MemberEndpoint {
    const { settings, trust } = this.#parts!;
    const options = this.#directOptions(place);
    // All that cannot change about a connection once it is open.
    const way = JSON.stringify([place.host, settings.sni, settings.verifyCert, trust?.key, settings.proxyProtocol, settings.tcpIdle, settings.alpn]);
    if (before instanceof Direct && this.#ways.get(before) === way) {
      before.reconfigure(options);
      return before;
    }
    const direct = new Direct(target(place, settings), options);
    this.#ways.set(direct, way);
    return direct;
  }

  #directOptions(place: Place): DirectOptions {
    const { settings, trust, poolSize } = this.#parts!;
    const { loop, limits, scratch } = this.#options;
    return {
      loop,
      limits,
      scratch,
      id: place.id,
      ip: place.ip,
      hostHeader: settings.hostHeader,
      connectTimeoutMs: settings.connectionTimeout,
      totalConnectTimeoutMs: settings.totalConnectionTimeout,
      firstByteTimeoutMs: settings.readTimeout,
      idleTimeoutMs: settings.readTimeout,
      streamIdleTimeoutMs: settings.streamIdleTimeout,
      writeTimeoutMs: settings.writeTimeout,
      onAbort: settings.onAbort,
      cancelGraceMs: settings.cancelGrace,
      drainTimeoutMs: settings.drainTimeout,
      poolSize: settings.keepalivePoolSize ?? poolSize,
      poolIdleMs: settings.idleTimeout,
      verifyCert: settings.verifyCert,
      alpn: settings.alpn,
      maxH2Streams: settings.maxH2Streams,
      ...(settings.sni === null ? {} : { serverName: settings.sni }),
      ...(trust === null ? {} : { trust: trust.context }),
      ...(settings.tcpIdle === null ? {} : { tcpKeepAliveMs: settings.tcpIdle }),
      ...(settings.proxyProtocol === null ? {} : { proxyProtocol: settings.proxyProtocol }),
    };
  }

  /** Begins to probe a member, or goes on as the settings now say: the new watch before the old one ends, so that what is known is kept. */
  #probe(member: Member): void {
    const { health } = this.#options;
    if (health === null) return;
    const { settings, trust } = this.#parts!;
    const { healthCheck } = settings;
    const before = this.#probes.get(member);
    if (healthCheck === null) {
      this.#unprobe(member);
      member.healthy('active', true);
      return;
    }
    const key = JSON.stringify([healthCheck.text, settings.verifyCert, trust?.key]);
    if (before?.key === key) return;
    // What the new check does not know yet, it takes to be well.
    member.healthy('active', true);
    const watch = health.watch(
      settings.name,
      healthCheck,
      { address: { host: member.at.ip, port: member.at.port }, healthy: (is) => member.healthy('active', is) },
      { verify: settings.verifyCert, ...(trust === null ? {} : { context: trust.context }) },
    );
    this.#probes.set(member, { key, watch });
    before?.watch.end();
  }

  #unprobe(member: Member): void {
    this.#probes.get(member)?.watch.end();
    this.#probes.delete(member);
  }
}

/** Refused addresses that are told of: a name that leads elsewhere every minute must not fill the log, nor memory. */
const REFUSED_TOLD = 100;

function target({ host, port }: Place, { sni }: UpstreamSettings): UpstreamUrl {
  const protocol = sni === null ? 'http' : 'https';
  const bracketed = isIP(host) === 6 ? `[${host}]` : host;
  const authority = port === (sni === null ? 80 : 443) ? bracketed : `${bracketed}:${port}`;
  return { protocol, host, port, authority, path: '', authorization: null, shown: `${protocol}://${authority}` };
}
