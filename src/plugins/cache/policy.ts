import CachePolicy from 'http-cache-semantics';

/** What the operator says about how long answers are good. */
export interface PolicyOptions {
  /** How long an answer is good that does not say; 0 = it is not kept. ms */
  readonly defaultTtlMs: number;
  /** At most, whatever answers say; null = as they say. ms */
  readonly maxTtlMs: number | null;
  /** For answers that do not say, ms. */
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
}

/** From the moment the answer came, ms. */
export interface Lifetime {
  /** How old it was. */
  readonly ageMs: number;
  /** It may be given out without asking. */
  readonly freshMs: number;
  /** It may be given out while somebody asks. */
  readonly revalidateMs: number;
  /** It may be given out when nobody answers. */
  readonly errorMs: number;
}

type Fields = Readonly<Record<string, string>>;

/**
 * How long an answer may be kept and shared, by RFC 9111 and stricter: null = not at all. Names in lower case, values of a name that came several times joined.
 * The cases are the library's; ours are those where it trusts more than a cache for strangers should.
 */
export function lifetimeOf(asked: Fields, status: number, answered: Fields, options: PolicyOptions): Lifetime | null {
  // Directives are the same in any case, which the library does not know.
  const control = answered['cache-control']?.toLowerCase();
  const directives = directivesOf(control);
  const isShared = directives.has('public') || directives.has('s-maxage');
  if (answered['set-cookie'] !== undefined || namesOf(answered['vary'] ?? '').includes('*')) return null;
  if (asked['authorization'] !== undefined && !isShared) return null;
  const policy = new CachePolicy(
    { method: 'GET', headers: lower(asked, ['authorization', 'cache-control']) },
    { status, headers: control === undefined ? answered : { ...answered, 'cache-control': control } },
    { shared: true, cacheHeuristic: 0, immutableMinTimeToLive: 0 },
  );
  if (!policy.storable()) return null;
  const tells = directives.has('max-age') || directives.has('s-maxage') || answered['expires'] !== undefined;
  const mayGuess = !directives.has('no-cache') && !/no-cache/i.test(answered['pragma'] ?? '') && asked['cookie'] === undefined && GUESSED.has(status);
  const lifeMs = tells ? policy.maxAge() * 1000 : mayGuess ? options.defaultTtlMs : 0;
  const ageMs = secondsOf(answered['age'] ?? '') * 1000;
  const freshMs = Math.min(lifeMs, options.maxTtlMs ?? Infinity) - ageMs;
  const isStrict = directives.has('must-revalidate') || directives.has('proxy-revalidate') || directives.has('no-cache');
  const beyond = (directive: string, otherwise: number): number => {
    const told = directives.get(directive);
    if (isStrict) return 0;
    // RFC 9111 5.2.2.10: s-maxage forbids what is stale, unless the answer itself allows it.
    return told === undefined ? (directives.has('s-maxage') ? 0 : otherwise) : secondsOf(told) * 1000;
  };
  const revalidateMs = beyond('stale-while-revalidate', options.staleWhileRevalidateMs);
  if (lifeMs <= 0 || freshMs + revalidateMs <= 0) return null;
  return { ageMs, freshMs, revalidateMs, errorMs: beyond('stale-if-error', options.staleIfErrorMs) };
}

/** What a request says about how old an answer may be. */
export interface Wish {
  /** Nothing of it is to be kept. */
  readonly noStore: boolean;
  /** Ask the upstream whatever there is. */
  readonly noCache: boolean;
  readonly onlyIfCached: boolean;
  /** ms; null = does not say */
  readonly maxAgeMs: number | null;
  readonly minFreshMs: number;
}

export function wishOf(control: string | undefined, pragma: string | undefined): Wish {
  const directives = directivesOf(control?.toLowerCase());
  const maxAge = directives.get('max-age');
  return {
    noStore: directives.has('no-store'),
    noCache: directives.has('no-cache') || (control === undefined && /no-cache/i.test(pragma ?? '')),
    onlyIfCached: directives.has('only-if-cached'),
    maxAgeMs: maxAge === undefined ? null : secondsOf(maxAge) * 1000,
    minFreshMs: secondsOf(directives.get('min-fresh') ?? '0') * 1000,
  };
}

/** The names that `Vary` lists, in lower case, in order of the alphabet, once each. */
export function namesOf(vary: string): string[] {
  const names = vary
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  return [...new Set(names.filter((name) => name !== ''))].toSorted();
}

/** Statuses that may be kept although their answers do not say so. */
const GUESSED: ReadonlySet<number> = new Set([200, 203, 300, 301, 308, 404, 410]);

function directivesOf(control: string | undefined): Map<string, string> {
  const directives = new Map<string, string>();
  if (control === undefined) return directives;
  for (const part of control.split(',')) {
    const at = part.indexOf('=');
    const name = (at < 0 ? part : part.slice(0, at)).trim();
    if (!directives.has(name)) directives.set(name, at < 0 ? '' : part.slice(at + 1).trim());
  }
  return directives;
}

function secondsOf(text: string): number {
  const seconds = Number.parseInt(text.replaceAll('"', ''), 10);
  return seconds > 0 ? Math.min(seconds, 2 ** 31) : 0;
}

function lower(fields: Fields, names: readonly string[]): Record<string, string> {
  const some: Record<string, string> = {};
  for (const name of names) if (fields[name] !== undefined) some[name] = fields[name].toLowerCase();
  return some;
}
