// HOT: find() runs for every request.
import { Buffer } from 'node:buffer';
import type { RequestHead } from '../http/head.ts';
import type { Captures } from '../upstream/upstream.ts';
import { ByteTrie } from './byte-trie.ts';
import { explain, type Explanation } from './explain.ts';
import { hostOf } from './host-pattern.ts';
import { HostTable } from './host-table.ts';
import { orderOf } from './order.ts';
import { takesPath } from './path-pattern.ts';
import { admits, capture, type Rule, takes } from './rule.ts';

/** What a router found. */
export interface Match<T> {
  readonly value: T;
  /** What the location's patterns captured; null = nothing. */
  readonly captures: Captures;
}

/** Places in the order of all rules, rising. */
type Ranks = number[];

/** The rules of one host, or those for every host. */
interface Bucket {
  /** Rules with a plain path, or none. */
  readonly paths: ByteTrie<Ranks>;
  /** Rules whose path is a regular expression. */
  readonly regexes: Ranks;
}

/** Longer ones (absolute forms) are looked up in memory of their own. */
const TARGET_BYTES = 16 * 1024;

/**
 * Finds the first of the rules, in their order, that takes a request. Exact hosts and plain paths are looked up, at a cost that does not grow with
 * their number; regular expressions are tried one after the other, as far as they could still come first.
 */
export class Router<T> {
  /** All rules in the order in which they are asked. */
  readonly rules: readonly Rule[];
  readonly #matches: readonly Match<T>[];
  readonly #anyHost: Bucket = emptyBucket();
  readonly #byHost = new HostTable<Bucket>();
  /** IPv6 addresses, each in its one spelling. */
  readonly #byAddress = new Map<string, Bucket>();
  readonly #regexHosts: Ranks = [];
  /** Does any rule name a host? Does any name none? */
  readonly #namesHosts: boolean;
  readonly #namesNone: boolean;
  // Scratch of find().
  readonly #hostHits: Bucket[] = [];
  readonly #pathHits: Ranks[] = [];
  readonly #targetStore = Buffer.alloc(TARGET_BYTES);
  #head: RequestHead | null = null;
  #bytes: Buffer = this.#targetStore;
  #from = 0;
  #to = 0;
  /** The path as text, once somebody needed it. */
  #path: string | null = null;

  constructor(entries: readonly { readonly rule: Rule; readonly value: T }[]) {
    const ordered = orderOf(entries.map(({ rule, value }) => ({ weight: rule.weight, rule, value })));
    this.rules = ordered.map(({ rule }) => rule);
    this.#matches = ordered.map(({ value }) => ({ value, captures: null }));
    this.#namesHosts = this.rules.some(({ hosts }) => hosts !== null);
    this.#namesNone = this.rules.some(({ hosts }) => hosts === null);
    this.rules.forEach((rule, rank) => this.#enter(rule, rank));
  }

  find(head: RequestHead): Match<T> | null {
    const { rules } = this;
    this.#head = head;
    this.#path = null;
    if (head.newTarget === null) {
      this.#bytes = head.bytes;
      this.#from = head.targetStart;
      this.#to = head.targetEnd;
    } else this.#useTarget(head.newTarget);
    let best = this.#namesNone ? this.#among(this.#anyHost, rules.length) : rules.length;
    if (this.#namesHosts) {
      const hits = this.#lookUpHost(head);
      for (let i = 0; i < hits; i++) best = this.#among(this.#hostHits[i]!, best);
      best = this.#amongRegexHosts(best);
    }
    this.#head = null;
    if (best === rules.length) return null;
    const match = this.#matches[best]!;
    if (rules[best]!.captures.size === 0) return match;
    return { value: match.value, captures: capture(rules[best]!, head) };
  }

  /** Every rule, in order, with why it takes this request or does not. */
  explain(head: RequestHead): Explanation {
    return explain(this.rules, head);
  }

  /** The first rule of a bucket that takes the request, when it comes before rank `best`; else `best`. */
  #among(bucket: Bucket, best: number): number {
    let found = best;
    const hits = bucket.paths.walk(this.#bytes, this.#from, this.#to, this.#pathHits);
    for (let i = 0; i < hits; i++) {
      const ranks = this.#pathHits[i]!;
      for (let j = 0; j < ranks.length; j++) {
        const rank = ranks[j]!;
        if (rank >= found) break;
        if (this.#admits(rank)) {
          found = rank;
          break;
        }
      }
    }
    const { regexes } = bucket;
    for (let i = 0; i < regexes.length; i++) {
      const rank = regexes[i]!;
      if (rank >= found) break;
      if (takesPath(this.rules[rank]!.path, this.#pathText()) && this.#admits(rank)) return rank;
    }
    return found;
  }

  #amongRegexHosts(best: number): number {
    const ranks = this.#regexHosts;
    if (ranks.length === 0 || ranks[0]! >= best) return best;
    const host = hostOf(this.#head!.authority);
    for (let i = 0; i < ranks.length; i++) {
      const rank = ranks[i]!;
      if (rank >= best) break;
      if (takes(this.rules[rank]!, host, this.#pathText()) && this.#admits(rank)) return rank;
    }
    return best;
  }

  #admits(rank: number): boolean {
    const rule = this.rules[rank]!;
    return !rule.guarded || admits(rule, this.#head!);
  }

  #pathText(): string {
    return (this.#path ??= this.#head!.path);
  }

  #useTarget(target: string): void {
    this.#from = 0;
    if (target.length <= TARGET_BYTES) {
      this.#bytes = this.#targetStore;
      this.#to = this.#targetStore.latin1Write(target, 0);
    } else {
      this.#bytes = Buffer.from(target, 'latin1');
      this.#to = target.length;
    }
  }

  /** Puts what is there for the host of a request into `#hostHits`. @returns how much */
  #lookUpHost(head: RequestHead): number {
    const { bytes, authorityStart, authorityEnd, newAuthority } = head;
    if (newAuthority === null && bytes[authorityStart] !== BRACKET) return this.#byHost.find(bytes, authorityStart, authorityEnd, this.#hostHits);
    const { authority } = head;
    if (authority.startsWith('[')) {
      const bucket = this.#byAddress.get(hostOf(authority));
      if (bucket !== undefined) this.#hostHits[0] = bucket;
      return bucket === undefined ? 0 : 1;
    }
    return this.#byHost.find(Buffer.from(authority, 'latin1'), 0, authority.length, this.#hostHits);
  }

  #enter(rule: Rule, rank: number): void {
    if (rule.hosts === null) {
      enterPath(this.#anyHost, rule, rank);
      return;
    }
    for (const host of rule.hosts.patterns) {
      if (host.form === 'regex') {
        if (this.#regexHosts.at(-1) !== rank) this.#regexHosts.push(rank);
      } else if (host.value.startsWith('[')) {
        const bucket = this.#byAddress.get(host.value) ?? emptyBucket();
        this.#byAddress.set(host.value, bucket);
        enterPath(bucket, rule, rank);
      } else enterPath(this.#byHost.at(host.value, host.form === 'exact' ? 'whole' : 'below', emptyBucket), rule, rank);
    }
  }
}

const BRACKET = 91;

function emptyBucket(): Bucket {
  return { paths: new ByteTrie(), regexes: [] };
}

function enterPath(bucket: Bucket, { path }: Rule, rank: number): void {
  if (path?.form === 'regex') bucket.regexes.push(rank);
  else {
    const key = Buffer.from(path === null ? '' : path.value, 'latin1');
    bucket.paths.at(key, path?.form === 'exact' ? 'whole' : 'begins', () => []).push(rank);
  }
}
