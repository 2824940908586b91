import { adminLimits } from './limits.ts';
import type { AuditEntry, Page } from './model.ts';
import { type AdminRoute, Problem } from './route.ts';

/** Who did what. */
export interface AuditBackend {
  /** Newest first; only those before that time. */
  page(limit: number, beforeMs: number): Page<AuditEntry>;
}

/** The audit log. */
export function auditRoutes(audit: AuditBackend): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/audit',
      role: 'admin',
      summary: 'Says who did what, newest first.',
      query: { limit: 'how many, 100 when absent', before: 'only what was before that time (atMs)' },
      handle: ({ query }) => {
        const limit = numberOf(query, 'limit', 100, adminLimits.auditEntries);
        return { json: audit.page(limit, numberOf(query, 'before', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)) };
      },
    },
  ];
}

/** @throws Problem */
function numberOf(query: URLSearchParams, name: string, fallback: number, max: number): number {
  const text = query.get(name);
  if (text === null) return fallback;
  if (!/^\d{1,16}$/.test(text)) throw new Problem(422, 'invalid', `${name} is no whole number.`);
  return Math.min(Number(text), max);
}
