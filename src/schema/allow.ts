import { Wrong } from './wrong.ts';

/** One thing that may be asked for. */
export interface AllowRule {
  /** Null = any. */
  readonly methods: ReadonlySet<string> | null;
  /** The whole path, or with `prefix` its beginning. */
  readonly path: string;
  readonly prefix: boolean;
}

/** `GET,POST /v1/*`, `GET /status`, `/v1/*` (any method), `*` (everything). A `*` stands at the end only. */
export function parseAllowRule(text: string): AllowRule {
  const trimmed = text.trim();
  if (trimmed === '*') return { methods: null, path: '/', prefix: true };
  const [, methodText, pathText] = /^(?:([^\s/]+)\s+)?(\/\S*)$/.exec(trimmed) ?? [];
  if (pathText === undefined) throw new Wrong('is no rule', "write METHODS and a path, such as 'GET,POST /v1/*'");
  const prefix = pathText.endsWith('*');
  const path = prefix ? pathText.slice(0, -1) : pathText;
  if (path.includes('*')) throw new Wrong('has a * that is not at the end', "only the end of a path may be open, such as '/v1/*'");
  if (path.includes('?') || path.includes('#')) throw new Wrong('has a query', "rules match paths only, such as 'GET /v1/models'");
  if (DOTS.test(path)) throw new Wrong('has dot segments', 'write the path that is meant');
  return { methods: methodText === undefined || methodText === '*' ? null : parseMethods(methodText), path, prefix };
}

/**
 * May this be asked for? `path` is the target without its query. Empty rules allow everything.
 * A path with dot segments is refused whatever the rules: what it means is for the upstream to decide, and the rule could be climbed out of.
 */
export function isAllowed(rules: readonly AllowRule[], method: string, path: string): boolean {
  if (rules.length === 0) return true;
  for (const rule of rules) {
    if (rule.methods !== null && !rule.methods.has(method)) continue;
    if (rule.prefix ? path.startsWith(rule.path) : path === rule.path) return !DOTS.test(path);
  }
  return false;
}

/** `..` as a segment, however its dots and slashes are written, for upstreams that decode before they look (parameters, blanks), or decode twice. */
const DOTS = /(?:\/|%2f|\\|%5c)(?:\.|%2e){2}(?:\/|%2f|\\|%5c|;|%3b|%09|%20|$)|%25(?:2e|2f|5c)/i;

function parseMethods(text: string): ReadonlySet<string> {
  const methods = text.split(',').map((method) => method.trim());
  for (const method of methods) {
    if (!/^[A-Z][A-Z-]*$/.test(method)) {
      const upper = method.toUpperCase();
      throw new Wrong('has a bad method', /^[A-Z-]+$/.test(upper) ? `methods are upper case: ${upper}` : "write methods as 'GET,POST'");
    }
  }
  return new Set(methods);
}
