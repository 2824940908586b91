import type { Hosts } from './host-pattern.ts';
import type { PathPattern } from './path-pattern.ts';

/** Longer paths count no more than this. */
const PATH_CHARS_MAX = 64;
const BY_FORM = { exact: 1024, prefix: 512, regex: 256 } as const;
const HOST = 128;

/**
 * What a location weighs when it does not say so itself. The arithmetic is Pingap's:
 * a path of more than one character counts 1024 (exact), 512 (beginning) or 256 (regular expression) and its length up to 64, its `=` or `~` included;
 * hosts count 128, but when one of them is a regular expression the length of their text instead.
 */
export function weightOf(path: PathPattern | null, hosts: Hosts | null): number {
  let weight = 0;
  if (path !== null && path.text.length > 1) weight += BY_FORM[path.form] + Math.min(path.text.length, PATH_CHARS_MAX);
  if (hosts !== null) weight += hosts.patterns.some((host) => host.form === 'regex') ? hosts.text.length : HOST;
  return weight;
}

/** The order in which locations are asked: the heaviest first, equals as they stand in the configuration. */
export function orderOf<R extends { readonly weight: number }>(rules: readonly R[]): readonly R[] {
  return rules.toSorted((a, b) => b.weight - a.weight);
}
