import type { Condition } from './conditions.ts';
import { type HostPattern, takesHost } from './host-pattern.ts';
import { orderOf } from './order.ts';
import { type PathPattern, takesPath } from './path-pattern.ts';
import type { Rule } from './rule.ts';

/** A rule that can never win, and those that take everything it would. */
export interface Shadowed {
  readonly rule: Rule;
  readonly by: readonly Rule[];
}

/**
 * Rules that can never win, because what each of their hosts takes is taken by a rule before them. Only what is certain is told: two regular expressions
 * are compared by their text, so some that can never win are not found; one that is named never wins.
 */
export function shadowed(rules: readonly Rule[]): readonly Shadowed[] {
  const before = new Before();
  const found: Shadowed[] = [];
  for (const rule of orderOf(rules)) {
    const by = before.covering(rule);
    if (by !== null) found.push({ rule, by });
    before.add(rule);
  }
  return found;
}

/** The rules of one host that have been seen, by path. */
interface Seen {
  /** Plain paths: `=/x` and `/x`; '' for every path. */
  readonly plain: Map<string, Rule[]>;
  readonly regexes: Map<string, Rule[]>;
}

/** The rules that have been seen, so that those that may cover another one are found without asking all. */
class Before {
  /** By host; '' for every host. */
  readonly #byHost = new Map<string, Seen>();
  readonly #regexHosts = new Map<string, HostPattern>();

  add(rule: Rule): void {
    for (const host of rule.hosts?.patterns ?? [null]) {
      const key = keyOfHost(host);
      if (host?.form === 'regex') this.#regexHosts.set(key, host);
      const seen = this.#byHost.get(key) ?? { plain: new Map(), regexes: new Map() };
      this.#byHost.set(key, seen);
      const paths = rule.path?.form === 'regex' ? seen.regexes : seen.plain;
      const path = keyOfPath(rule.path);
      const list = paths.get(path);
      if (list === undefined) paths.set(path, [rule]);
      else list.push(rule);
    }
  }

  /** For every host of the rule one that takes all of it; null when there is a host without. */
  covering(rule: Rule): readonly Rule[] | null {
    const by = new Set<Rule>();
    for (const host of rule.hosts?.patterns ?? [null]) {
      const one = this.#coveringAt(host, rule);
      if (one === null) return null;
      by.add(one);
    }
    return [...by];
  }

  #coveringAt(host: HostPattern | null, rule: Rule): Rule | null {
    for (const key of this.#widerHosts(host)) {
      const seen = this.#byHost.get(key);
      if (seen === undefined) continue;
      for (const rules of widerPaths(rule.path, seen)) {
        const one = rules.find((other) => guardsCover(other, rule));
        if (one !== undefined) return one;
      }
    }
    return null;
  }

  /** Keys of hosts that take all that this one takes. */
  *#widerHosts(host: HostPattern | null): Iterable<string> {
    yield '';
    if (host === null) return;
    yield keyOfHost(host);
    if (host.form === 'regex') return;
    const { value } = host;
    for (let dot = value.indexOf('.', 1); dot >= 0; dot = value.indexOf('.', dot + 1)) yield `*${value.slice(dot)}`;
    if (host.form === 'below') return;
    for (const [key, pattern] of this.#regexHosts) if (takesHost(pattern, value)) yield key;
  }
}

function keyOfHost(host: HostPattern | null): string {
  if (host === null) return '';
  return host.form === 'regex' ? `~${host.pattern.source}` : host.form === 'below' ? `*${host.value}` : host.value;
}

function keyOfPath(path: PathPattern | null): string {
  if (path === null) return '';
  return path.form === 'regex' ? path.pattern.source : path.form === 'exact' ? `=${path.value}` : path.value;
}

/** Rules of one host whose paths take all that this one takes. */
function* widerPaths(path: PathPattern | null, { plain, regexes }: Seen): Iterable<readonly Rule[]> {
  yield plain.get('') ?? [];
  if (path === null) return;
  if (path.form === 'regex') {
    yield regexes.get(path.pattern.source) ?? [];
    // Every path begins with /, but for the * of OPTIONS.
    if (!takesPath(path, '*')) yield plain.get('/') ?? [];
    return;
  }
  const { value } = path;
  for (let length = 1; length <= value.length; length++) yield plain.get(value.slice(0, length)) ?? [];
  if (path.form === 'prefix') return;
  yield plain.get(`=${value}`) ?? [];
  for (const rules of regexes.values()) if (takesPath(rules[0]!.path, value)) yield rules;
}

/** Do method and conditions of `other` let in whatever those of `rule` let in? */
function guardsCover(other: Rule, rule: Rule): boolean {
  const { methods } = other;
  if (methods !== null && (rule.methods === null || ![...rule.methods].every((method) => methods.has(method)))) return false;
  return other.conditions.every((wide) => rule.conditions.some((narrow) => conditionCovers(wide, narrow)));
}

function conditionCovers(wide: Condition, narrow: Condition): boolean {
  if (wide.place !== narrow.place || wide.name !== narrow.name) return false;
  if (wide.value === null || wide.value === narrow.value) return true;
  return wide.pattern !== null && narrow.pattern === null && narrow.value !== null && wide.pattern.test(narrow.value);
}
