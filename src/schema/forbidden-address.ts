import ipaddr from 'ipaddr.js';

/**
 * Why an IP address can be no upstream, or null. What a proxy may never be made to reach: addresses that are nobody's (unspecified, broadcast,
 * multicast), and the link-local ones, where clouds keep the keys of their machines.
 */
export function forbiddenAddress(ip: string): string | null {
  const bare = ip.includes('%') ? ip.slice(0, ip.indexOf('%')) : ip;
  if (!ipaddr.isValid(bare)) return null;
  const address = innermost(ipaddr.process(bare));
  if (METADATA.has(address.toString())) return 'is a cloud metadata address';
  return WORDS.get(address.range()) ?? null;
}

const WORDS: ReadonlyMap<string, string> = new Map([
  ['unspecified', 'is the unspecified address'],
  ['broadcast', 'is the broadcast address'],
  ['multicast', 'is a multicast address'],
  ['linkLocal', 'is a link-local address, where cloud metadata lives'],
]);

/** Those that do not lie in a link-local block. */
const METADATA: ReadonlySet<string> = new Set(['fd00:ec2::254', '100.100.100.200']);

/** The IPv4 address inside an IPv6 one (NAT64, 6to4): both reach the same machine. ipaddr.process() has unwrapped ::ffff:0:0/96. */
function innermost(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (address.kind() === 'ipv4') return address;
  const bytes = address.toByteArray();
  const range = address.range();
  if (range === 'rfc6052') return new ipaddr.IPv4(bytes.slice(12));
  if (range === '6to4') return new ipaddr.IPv4(bytes.slice(2, 6));
  return address;
}
