import type { GatewaySettings } from '../../config/gateway.ts';

/** Names of fields and parameters in which clients send secrets because plugins say so, in lower case. `settings`: those that serve. */
export function secretNames(settings: () => GatewaySettings): () => ReadonlySet<string> {
  let seen: GatewaySettings | null = null;
  let names: ReadonlySet<string> = new Set();
  return () => {
    const now = settings();
    if (now !== seen) {
      seen = now;
      names = namesOf(now);
    }
    return names;
  };
}

function namesOf({ plugins }: GatewaySettings): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { definition, values } of plugins.values()) {
    for (const key of KEYS.get(definition.name) ?? []) {
      const name = (values as Readonly<Record<string, unknown>>)[key];
      if (typeof name === 'string') names.add(name.toLowerCase());
    }
  }
  return names;
}

/** Settings that name such a field or parameter, by plugin. Cookies are never shown anyhow. */
const KEYS: ReadonlyMap<string, readonly string[]> = new Map([
  ['key_auth', ['header', 'query']],
  ['jwt', ['header', 'query']],
  ['client_keys', ['header']],
  ['csrf', ['name']],
]);
