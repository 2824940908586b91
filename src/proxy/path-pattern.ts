import { type Kind, scalar } from '../schema/kind.ts';
import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { Wrong } from '../schema/wrong.ts';
import { resolvePath } from '../http/target.ts';

/** Which paths a location takes. A path is the target without its query, as it is forwarded: dot segments are resolved, nothing else is decoded. */
export type PathPattern =
  | { readonly form: 'exact' | 'prefix'; readonly text: string; readonly value: string }
  | { readonly form: 'regex'; readonly text: string; readonly pattern: Pattern };

export function pathPattern(): Kind<PathPattern> {
  return scalar('PATH', 'path such as /api (what begins with it), =/api (just it) or ~^/api/v\\d+ (regular expression)', parsePathPattern, {
    format: (path) => path.text,
  });
}

/** `=/x` exactly that, `~…` a regular expression searched anywhere in the path, else a beginning. @throws Wrong */
export function parsePathPattern(given: string): PathPattern {
  const text = given.trim();
  if (text.startsWith('~')) {
    const source = text.slice(1).trim();
    if (source === '') throw new Wrong('has no pattern behind the ~', 'write a regular expression such as ~^/api/, or leave path out');
    return { form: 'regex', text, pattern: compilePattern(source) };
  }
  const form = text.startsWith('=') ? 'exact' : 'prefix';
  const value = form === 'exact' ? text.slice(1).trim() : text;
  if (value === '*' && form === 'exact') return { form, text, value };
  if (!value.startsWith('/')) throw new Wrong('does not begin with /', `write ${form === 'exact' ? '=' : ''}/${value}`);
  const query = value.search(/[?#]/);
  if (query >= 0)
    throw new Wrong('has a query, and locations match paths', `write ${value.slice(0, query)}, and match_query = ["name:value"] for the query`);
  if (/[^\x21-\x7e]|\\/.test(value)) {
    throw new Wrong('has characters that no path on the wire has', `write them escaped: ${encodeURI(value).replaceAll('\\', '%5C')}`);
  }
  if (/\/(?:\.|%2e){1,2}\//i.test(value) || (form === 'exact' && resolvePath(value) !== value)) {
    throw new Wrong('is matched by no path', 'paths are matched with their dot segments resolved: write what is left of it then');
  }
  return { form, text, value };
}

/** Does it take this path? Null takes every path. */
export function takesPath(pattern: PathPattern | null, path: string): boolean {
  if (pattern === null) return true;
  switch (pattern.form) {
    case 'exact':
      return path === pattern.value;
    case 'prefix':
      return path.startsWith(pattern.value);
    case 'regex':
      return pattern.pattern.test(path);
  }
}
