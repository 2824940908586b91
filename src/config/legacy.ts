import { translatePlugin } from './legacy-plugins.ts';
import type { Report } from './report.ts';
import { placeText } from './text-file.ts';
import type { Entry, Item, Tree } from './tree.ts';

/**
 * Gives what Pingap of April 2024 named otherwise its name of today, so that tables, reference and forms know one spelling.
 * What it was in the file is kept for messages.
 */
export function renameOldKeys(tree: Tree, report: Report): void {
  const plugins = tree.named.get('plugins')!;
  for (const [name, item] of tree.named.get('proxy_plugins') ?? []) {
    const other = plugins.get(name);
    if (other === undefined) plugins.set(name, item);
    else report.error(item.place, item.subject, `is there twice, also as ${other.subject} at ${placeText(other.place)}; keep one`);
  }
  tree.named.get('proxy_plugins')?.clear();
  for (const item of plugins.values()) translatePlugin(item, report);
  for (const item of tree.named.get('locations')?.values() ?? []) rename(item, LOCATION_KEYS, report);
  for (const item of tree.named.get('upstreams')?.values() ?? []) renameHash(item, report);
  for (const item of tree.named.get('servers')?.values() ?? []) renameServer(item, report);
}

/** What a location of April 2024 calls otherwise. */
export const LOCATION_KEYS: ReadonlyMap<string, string> = new Map([
  ['proxy_headers', 'proxy_set_headers'],
  ['headers', 'set_response_headers'],
  ['proxy_plugins', 'plugins'],
]);

function rename(item: Item, keys: ReadonlyMap<string, string>, report: Report): void {
  for (const [old, today] of keys) {
    const entry = item.entries.get(old);
    if (entry === undefined) continue;
    item.entries.delete(old);
    const other = item.entries.get(today);
    if (other === undefined) item.entries.set(today, entry);
    else report.error(entry.place, `${item.subject}.${entry.key}`, `is the same setting as ${other.key} at ${placeText(other.place)}; keep one`);
  }
}

/** Values of a server that Pingap knows and we do not. */
function renameServer(item: Item, report: Report): void {
  for (const key of ['tls_min_version', 'tls_max_version']) {
    const entry = item.entries.get(key);
    if (typeof entry?.value !== 'string' || !/^tlsv?1(?:\.[01])?$/i.test(entry.value)) continue;
    item.entries.set(key, { ...entry, value: 'tlsv1.2' });
    report.warn(entry.place, `${item.subject}.${entry.key}`, `${entry.value} is not spoken any more: it is tlsv1.2; write that`);
  }
  const metrics = item.entries.get('prometheus_metrics');
  if (typeof metrics?.value !== 'string' || !metrics.value.includes('://')) return;
  item.entries.delete('prometheus_metrics');
  report.warn(
    metrics.place,
    `${item.subject}.${metrics.key}`,
    'is not used: metrics are not pushed; let them be fetched from /metrics at admin_addr',
  );
}

/** `hash:X-User` was a header; today's Pingap would take it for the path. */
function renameHash(item: Item, report: Report): void {
  const entry = item.entries.get('algo');
  const header = typeof entry?.value === 'string' ? /^hash:\s*([^:\s]+)$/.exec(entry.value)?.[1] : undefined;
  if (entry === undefined || header === undefined || HASHES.has(header.toLowerCase())) return;
  item.entries.set('algo', { ...entry, value: `hash:header:${header}` } satisfies Entry);
  report.warn(entry.place, `${item.subject}.${entry.key}`, `means the header ${header}, as in April 2024; write algo = "hash:header:${header}"`);
}

const HASHES: ReadonlySet<string> = new Set(['url', 'ip', 'path', 'header', 'cookie', 'query']);
