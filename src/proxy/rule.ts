import type { RequestHead } from '../http/head.ts';
import type { Pattern } from '../schema/pattern.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Captures } from '../upstream/upstream.ts';
import { type Condition, holds } from './conditions.ts';
import { compileFieldEdits } from './field-edits.ts';
import { type Hosts, hostOf, takesHost } from './host-pattern.ts';
import { captureIn, type LocationSettings } from './location-section.ts';
import { weightOf } from './order.ts';
import { type PathPattern, takesPath } from './path-pattern.ts';

/** What a location takes, ready to be asked. */
export interface Rule {
  readonly name: string;
  readonly weight: number;
  /** The weight was written, not reckoned. */
  readonly weightIsGiven: boolean;
  /** Null: every host. */
  readonly hosts: Hosts | null;
  /** Null: every path. */
  readonly path: PathPattern | null;
  /** Null: every method. */
  readonly methods: ReadonlySet<string> | null;
  readonly conditions: readonly Condition[];
  /** Host and path are not all: admits() must be asked as well. */
  readonly guarded: boolean;
  /** What its host and path may capture: names, and numbers of the path's groups (of the host's when the path is no regular expression). */
  readonly captures: ReadonlySet<string>;
}

/** @throws Wrong when keys that are right by themselves do not fit together */
export function compileRule(settings: LocationSettings): Rule {
  const { path, host, weight } = settings;
  const methods = settings.methods === null || settings.methods.length === 0 ? null : new Set(settings.methods);
  const all = [...settings.matchHeaders, ...settings.matchQuery, ...settings.matchCookies];
  const captures = captureNames(host, path);
  const used = settings.upstream?.startsWith('$') === true ? captureIn(settings.upstream) : null;
  if (used !== null && !captures.has(used) && settings.rewrite?.names.has(used) !== true) {
    throw new Wrong(
      `names the capture ${used} as upstream, and nothing captures it`,
      `name a group (?P<${used}>…) in path, host or rewrite, or write an upstream's name`,
    );
  }
  const unknown = [...(settings.rewrite?.needs ?? [])].find((name) => !captures.has(name));
  if (unknown !== undefined) {
    throw new Wrong(
      `uses $${unknown} in its rewrite, and nothing captures it`,
      `name a group (?P<${unknown}>…) in rewrite, path or host; a plain dollar is $$`,
    );
  }
  const fields = { set: settings.proxySetHeaders, add: settings.proxyAddHeaders, remove: settings.proxyRemoveHeaders, reverseProxy: false };
  compileFieldEdits(fields);
  return {
    name: settings.name,
    weight: weight ?? weightOf(path, host),
    weightIsGiven: weight !== null,
    hosts: host,
    path,
    methods,
    conditions: all,
    guarded: methods !== null || all.length > 0,
    captures,
  };
}

/** Every name that headers and `upstream` of a location may use: what its rule and its rewrite capture. */
export function captureNamesOf(settings: LocationSettings, rule: Rule): ReadonlySet<string> {
  return settings.rewrite === null ? rule.captures : new Set([...rule.captures, ...settings.rewrite.names]);
}

/** Do method and conditions let this request in? */
export function admits(rule: Rule, head: RequestHead): boolean {
  if (rule.methods !== null && !rule.methods.has(head.method)) return false;
  for (const condition of rule.conditions) if (!holds(condition, head)) return false;
  return true;
}

/** Does it take this host and path? What a router's index must come to, too. */
export function takes(rule: Rule, host: string, path: string): boolean {
  return takesPath(rule.path, path) && (rule.hosts === null || rule.hosts.patterns.some((pattern) => takesHost(pattern, host)));
}

/**
 * What it captures of a request that it takes; null when it captures nothing. Where names meet, the path's count. When host or path is too long for the
 * pattern nothing is captured and `head.problem` says so: whoever needs captures must refuse the request, others need not.
 */
export function capture(rule: Rule, head: RequestHead): Captures {
  if (rule.captures.size === 0) return null;
  const found = new Map<string, string>();
  const host = hostOf(head.authority);
  const hostPattern = rule.hosts?.patterns.find((pattern) => takesHost(pattern, host));
  const { path } = head;
  let fits = hostPattern?.form !== 'regex' || add(found, hostPattern.pattern, host);
  if (rule.path?.form === 'regex') {
    // Numbers are all of one pattern or the other's: a mixture could not be read.
    for (const name of found.keys()) if (/^\d/.test(name)) found.delete(name);
    fits = add(found, rule.path.pattern, path) && fits;
  }
  if (fits) return found;
  head.problem = 'target_too_long';
  head.problemDetail = 'host or path is too long for the pattern of its location';
  return null;
}

/** False when the text is too long. */
function add(found: Map<string, string>, pattern: Pattern, text: string): boolean {
  if (text.length > pattern.findMax) return false;
  const groups = pattern.find(text)?.groups ?? [];
  for (let i = 1; i < groups.length; i++) found.set(String(i), groups[i]!);
  for (const [name, number] of pattern.names) found.set(name, groups[number] ?? '');
  return true;
}

function captureNames(hosts: Hosts | null, path: PathPattern | null): ReadonlySet<string> {
  const names = new Set<string>();
  for (const host of hosts?.patterns ?? []) {
    if (host.form !== 'regex') continue;
    for (const name of host.pattern.names.keys()) names.add(name);
    if (path?.form !== 'regex') for (let i = 1; i <= host.pattern.groupCount; i++) names.add(String(i));
  }
  if (path?.form === 'regex') {
    for (const name of path.pattern.names.keys()) names.add(name);
    for (let i = 1; i <= path.pattern.groupCount; i++) names.add(String(i));
  }
  return names;
}
