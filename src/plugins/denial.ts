import type { HeaderList } from '../http/head.ts';
import type { Reply } from '../proxy/plugin.ts';

/** A short answer that says no, for people; no cache keeps it. */
export function denial(status: number, text: string, headers: HeaderList = []): Reply {
  return { status, headers: ['Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-store', ...headers], body: `${text}\n` };
}

/** Longest that who was wrong is kept waiting, ms: below what a plugin may take (PLUGIN_MS). */
export const DELAY_MAX_MS = 20_000;

/** The answer after a while, ms; at once for 0. */
export function delayed(reply: Reply, delayMs: number): Reply | Promise<Reply> {
  return delayMs === 0 ? reply : new Promise((resolve) => setTimeout(resolve, delayMs, reply));
}

/** Text of a setting as it stands in a field: its UTF-8, a character per byte. */
export function fieldText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
