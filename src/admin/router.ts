import type { AdminRoute } from './route.ts';

/** What a path and method mean. */
export type Found =
  | { readonly route: AdminRoute; readonly parameters: Readonly<Record<string, string>> }
  /** The path is known, with other methods. */
  | { readonly allow: readonly string[] }
  | null;

/** One level of a path: what it may be called, and what stands there. */
interface Level {
  readonly named: Map<string, Level>;
  any: Level | null;
  readonly routes: Map<string, AdminRoute>;
}

/** Finds routes. A name that is written out goes before one in braces. */
export class Router {
  readonly #root = newLevel();

  /** @throws Error when two routes are the same */
  constructor(routes: readonly AdminRoute[]) {
    for (const route of routes) {
      let level = this.#root;
      for (const part of partsOf(route.path)) {
        if (part.startsWith('{')) level = level.any ??= newLevel();
        else {
          let next = level.named.get(part);
          if (next === undefined) level.named.set(part, (next = newLevel()));
          level = next;
        }
      }
      if (level.routes.has(route.method)) throw new Error(`${route.method} ${route.path} is there twice`);
      level.routes.set(route.method, route);
    }
  }

  /** `path`: as it was sent, without the query. HEAD is asked for as GET. */
  find(method: string, path: string): Found {
    const parts = partsOf(path);
    const level = descend(this.#root, parts, 0);
    if (level === null) return null;
    const route = level.routes.get(method);
    if (route === undefined) return { allow: allowedOf(level) };
    const parameters: Record<string, string> = {};
    for (const [i, part] of partsOf(route.path).entries()) {
      if (!part.startsWith('{')) continue;
      const value = decoded(parts[i]!);
      if (value === null) return null;
      parameters[part.slice(1, -1)] = value;
    }
    return { route, parameters };
  }
}

function newLevel(): Level {
  return { named: new Map(), any: null, routes: new Map() };
}

function partsOf(path: string): readonly string[] {
  return path.split('/').slice(1);
}

function descend(level: Level, parts: readonly string[], from: number): Level | null {
  if (from === parts.length) return level.routes.size === 0 ? null : level;
  const part = parts[from]!;
  const named = level.named.get(part);
  const found = named === undefined ? null : descend(named, parts, from + 1);
  if (found !== null || level.any === null || part === '') return found;
  return descend(level.any, parts, from + 1);
}

function allowedOf(level: Level): readonly string[] {
  const methods = [...level.routes.keys()];
  return (methods.includes('GET') ? [...methods, 'HEAD'] : methods).toSorted();
}

/** Null for what is no UTF-8 in percent signs, or holds control characters. */
function decoded(part: string): string | null {
  try {
    const text = decodeURIComponent(part);
    // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
    return /[\u0000-\u001f\u007f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}
