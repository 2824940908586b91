import type { RequestHead } from '../http/head.ts';
import { PREFER, SLIME_BLOCK } from '../http/names.ts';

/** How long a request may wait for a slot, ms: as long as it asks (`Slime-Block`, RFC 7240 `Prefer: wait=N`), within bounds, else the default. */
export function patienceOf(head: RequestHead, defaultMs: number, longestMs: number): number {
  if (head.has(SLIME_BLOCK)) return longestMs;
  if (!head.has(PREFER)) return defaultMs;
  const wait = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?/i.exec(head.value(PREFER));
  return wait === null ? defaultMs : Math.min(Number(wait[1]) * 1000, longestMs);
}
