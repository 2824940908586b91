import { isIPv4 } from 'node:net';

/** A DNS name or an IPv4 address (not IPv6: that stands in brackets). Underscores are allowed because container networks use them. */
export function isHostName(text: string): boolean {
  if (text.length === 0 || text.length > 253) return false;
  if (/^[\d.]+$/.test(text)) return isIPv4(text);
  return /^(?!-)[a-z\d_-]{1,63}(?:\.(?!-)[a-z\d_-]{1,63})*\.?$/i.test(text);
}
