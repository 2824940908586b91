import { promises as dns } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { resolveLimits } from './limits.ts';

/** What a name leads to. */
export interface Answer {
  /** IP addresses; at least one. */
  readonly ips: readonly string[];
  /** How long that holds, ms; null when nobody says. */
  readonly ttlMs: number | null;
}

/** Finds all addresses of a name. @throws an error whose `code` says why, `ENOTFOUND` when there is no such name */
export type Resolve = (name: string) => Promise<Answer>;

export interface ResolveSettings {
  /** Name servers to ask instead of the system's, each an IP address or IP:PORT; empty: the system's. */
  readonly servers: readonly string[];
  /** Domains in which names without a dot are looked for first. */
  readonly search: readonly string[];
  readonly ipv4Only: boolean;
}

/**
 * Looks names up: in the hosts file, then by asking name servers, which say how long an answer holds, and last as other programs here do
 * (getaddrinfo), which knows search domains and whatever else this machine is set up with. With name servers of its own it asks only these.
 */
export function resolver(settings: ResolveSettings): Resolve {
  const { servers, search, ipv4Only } = settings;
  const asked = new dns.Resolver({ timeout: resolveLimits.queryMs, tries: resolveLimits.tries });
  if (servers.length > 0) asked.setServers(servers);
  return async (name) => {
    if (servers.length === 0) {
      const ips = (await hostsFile()).get(name)?.filter((ip) => !ipv4Only || isIP(ip) === 4) ?? [];
      if (ips.length > 0) return { ips, ttlMs: null };
    }
    let why: unknown = null;
    for (const full of spellings(name, search)) {
      try {
        return await ask(asked, full, ipv4Only);
      } catch (error) {
        why = error;
      }
    }
    if (servers.length > 0) throw why;
    try {
      const found = await dns.lookup(name, { all: true, family: ipv4Only ? 4 : 0 });
      return { ips: found.map(({ address }) => address), ttlMs: null };
    } catch (error) {
      // Only name servers that answered can say that there is no such name.
      throw isGone(why) ? error : why;
    }
  };
}

/** Does a failed lookup say that there is no such name, or nothing behind it? */
export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOTFOUND' || code === 'ENODATA';
}

function spellings(name: string, search: readonly string[]): readonly string[] {
  const plain = name.replace(/\.$/, '');
  if (name.includes('.')) return [plain];
  return [...search.map((domain) => `${plain}.${domain}`), plain];
}

async function ask(asked: dns.Resolver, name: string, ipv4Only: boolean): Promise<Answer> {
  const [four, six] = await Promise.allSettled([asked.resolve4(name, { ttl: true }), ipv4Only ? [] : asked.resolve6(name, { ttl: true })]);
  const records = [four, six].flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  if (records.length === 0) throw four.status === 'rejected' ? four.reason : (six as PromiseRejectedResult).reason;
  return { ips: records.map(({ address }) => address), ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1000 };
}

/** Addresses by name, as the hosts file has them. Small and in the page cache: it is read each time, so that a change is seen. */
async function hostsFile(): Promise<ReadonlyMap<string, string[]>> {
  const byName = new Map<string, string[]>();
  let text: string;
  try {
    text = await readFile(process.platform === 'win32' ? 'C:\\Windows\\System32\\drivers\\etc\\hosts' : '/etc/hosts', 'utf8');
  } catch {
    return byName;
  }
  for (const line of text.split('\n')) {
    const [ip, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (ip === undefined || isIP(ip) === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      const ips = byName.get(key);
      if (ips === undefined) byName.set(key, [ip]);
      else if (!ips.includes(ip)) ips.push(ip);
    }
  }
  return byName;
}

/** Lets a few lookups run at a time: a thousand names that are due at once are asked for one after the other. */
export class Lookups {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** The same, when it is its turn. */
  inTurn(resolve: Resolve): Resolve {
    return async (name) => {
      if (this.#running >= resolveLimits.atOnce) await new Promise<void>((go) => void this.#waiting.push(go));
      else this.#running++;
      try {
        return await resolve(name);
      } finally {
        const next = this.#waiting.shift();
        if (next === undefined) this.#running--;
        else next();
      }
    };
  }
}
