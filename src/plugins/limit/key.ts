// HOT: a key is made per request.
import { Wrong } from '../../schema/wrong.ts';
import { type PluginExchange, slot } from '../../proxy/plugin.ts';

export const TAGS = ['ip', 'header', 'cookie', 'query', 'path', 'jwt', 'client_key'] as const;
export type Tag = (typeof TAGS)[number];

/** What the jwt plugin found in a token. */
export const jwtClaims = slot<Readonly<Record<string, unknown>>>('jwt_claims');

/** The key that the client_keys plugin let in. */
export const clientKey = slot<{ readonly id: string; readonly name: string }>('client_key');

/** Whose request it is; '' = nobody's: then it is not limited. */
export type KeyOf = (exchange: PluginExchange) => string;

/** @throws Wrong when the tag needs a name and has none, or the other way round */
export function keyOf(tag: Tag, name: string | null): KeyOf {
  if (tag === 'ip') return ({ client }) => networkOf(client);
  if (tag === 'path') return ({ request }) => plainPath(request.path);
  if (tag === 'client_key') return (exchange) => exchange.get(clientKey)?.id ?? '';
  if (name === null) throw new Wrong(`has tag = "${tag}" and no key`, EXAMPLES[tag]);
  switch (tag) {
    case 'header':
      return ({ request }) => request.header(name) ?? '';
    case 'cookie':
      return ({ request }) => request.cookie(name) ?? '';
    case 'query':
      return ({ request }) => request.parameter(name) ?? '';
    case 'jwt':
      return (exchange) => {
        const claims = exchange.get(jwtClaims);
        const claim = claims !== undefined && Object.hasOwn(claims, name) ? claims[name] : undefined;
        return typeof claim === 'string' ? claim : typeof claim === 'number' ? String(claim) : '';
      };
  }
}

const EXAMPLES = {
  header: 'name the header, as in key = "X-Api-Key"',
  cookie: 'name the cookie, as in key = "session"',
  query: 'name the parameter, as in key = "token"',
  jwt: 'name the claim, as in key = "sub"',
};

/** Who has an IPv6 address has 2^64 of them: the first 64 bits are whom to count. An IPv4 address is itself. */
export function networkOf(client: string): string {
  if (!client.includes(':')) return client;
  if (client.startsWith('::ffff:') && client.includes('.')) return client.slice(7);
  // The zone (`fe80::1%eth0`) is of the last 64 bits.
  const zone = client.indexOf('%');
  const address = zone < 0 ? client : client.slice(0, zone);
  const gap = address.indexOf('::');
  const groups = (gap < 0 ? address : address.slice(0, gap)).split(':');
  if (groups.length === 1 && groups[0] === '') groups.length = 0;
  if (gap >= 0) {
    const rest = address.slice(gap + 2);
    // An IPv4 tail is two groups.
    const behind = rest === '' ? 0 : rest.split(':').length + (rest.includes('.') ? 1 : 0);
    const after = rest.split(':');
    for (let zeros = 8 - groups.length - behind; zeros > 0; zeros--) groups.push('0');
    for (const group of after) groups.push(group);
  }
  return `${groups[0]}:${groups[1]}:${groups[2]}:${groups[3]}::/64`;
}

/** One key for all the ways to write a path that upstreams may take for one. */
function plainPath(path: string): string {
  if (!path.includes('%')) return path.toLowerCase();
  try {
    return decodeURIComponent(path).toLowerCase();
  } catch {
    return path.toLowerCase();
  }
}
