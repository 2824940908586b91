import { redactedGiven } from '../observe/secret-field.ts';
import type { RequestHead } from '../http/head.ts';
import type { Captures } from '../upstream/upstream.ts';
import { holds } from './conditions.ts';
import { hostOf, takesHost } from './host-pattern.ts';
import { takesPath } from './path-pattern.ts';
import { capture, type Rule } from './rule.ts';

/** What decided about one location. `behind`: it takes the request, but another comes first. */
export type Verdict = 'wins' | 'behind' | 'host' | 'path' | 'method' | 'condition';

/** One location and a request. */
export interface Considered {
  readonly name: string;
  readonly weight: number;
  readonly verdict: Verdict;
  /** Half a sentence: what fits, or what does not. */
  readonly why: string;
}

/** Where a request goes, and why. */
export interface Explanation {
  /** As they were matched. */
  readonly host: string;
  readonly path: string;
  readonly method: string;
  /** Name of the location that takes it; null = none. */
  readonly winner: string | null;
  /** What that one captured. */
  readonly captures: Captures;
  /** All locations, in the order in which they are asked. */
  readonly considered: readonly Considered[];
}

/** Asks every rule, in order: what a router does faster. */
export function explain(ordered: readonly Rule[], head: RequestHead): Explanation {
  const host = hostOf(head.authority);
  const { path, method } = head;
  let winner: Rule | null = null;
  const considered = ordered.map((rule): Considered => {
    const { name, weight } = rule;
    const miss = missOf(rule, host, path, head);
    if (miss !== null) return { name, weight, ...miss };
    if (winner !== null) return { name, weight, verdict: 'behind', why: `takes it too, but ${orderText(winner, rule)}` };
    winner = rule;
    return { name, weight, verdict: 'wins', why: fitText(rule, host) };
  });
  const won = winner as Rule | null;
  return { host, path, method, winner: won?.name ?? null, captures: won === null ? null : capture(won, head), considered };
}

/** What of a rule does not fit; null when all does. */
function missOf(rule: Rule, host: string, path: string, head: RequestHead): { verdict: Verdict; why: string } | null {
  const { hosts, methods, conditions } = rule;
  if (hosts !== null && !hosts.patterns.some((pattern) => takesHost(pattern, host))) {
    return { verdict: 'host', why: `host ${host === '' ? '(none)' : host} is not ${hosts.patterns.map(({ text }) => text).join(' or ')}` };
  }
  if (rule.path !== null && !takesPath(rule.path, path)) {
    const { form, text } = rule.path;
    const verb = form === 'prefix' ? 'does not begin with' : form === 'exact' ? 'is not' : 'does not match';
    return { verdict: 'path', why: `path ${path} ${verb} ${form === 'exact' ? rule.path.value : text}` };
  }
  if (methods !== null && !methods.has(head.method)) return { verdict: 'method', why: `method ${head.method} is not ${[...methods].join(' or ')}` };
  const failed = conditions.find((condition) => !holds(condition, head));
  return failed === undefined ? null : { verdict: 'condition', why: `${failed.place} ${redactedGiven(failed.text)} does not hold` };
}

function fitText(rule: Rule, host: string): string {
  const parts: string[] = [];
  const pattern = rule.hosts?.patterns.find((one) => takesHost(one, host));
  if (pattern !== undefined) parts.push(`host ${pattern.text}`);
  if (rule.path !== null) parts.push(`path ${rule.path.text}`);
  if (rule.methods !== null) parts.push('method');
  for (const { place, text } of rule.conditions) parts.push(`${place} ${redactedGiven(text)}`);
  return parts.length === 0 ? 'takes everything' : `${parts.join(', ')} ${parts.length === 1 ? 'fits' : 'fit'}`;
}

function orderText(winner: Rule, rule: Rule): string {
  return winner.weight === rule.weight ? `${winner.name} weighs the same and stands first` : `${winner.name} is heavier`;
}
