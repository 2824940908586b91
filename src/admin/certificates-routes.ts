import type { CertificateInfo, Page } from './model.ts';
import { pagingQuery, type Paging, readPaging } from './paging.ts';
import type { AdminRoute } from './route.ts';

/** Certificates that servers show; never their keys. */
export interface CertificatesBackend {
  /** Those that end first are first. */
  list(paging: Paging): Promise<Page<CertificateInfo>>;
}

/** Certificates: whose, until when, and what is wrong with them. */
export function certificatesRoutes(backend: CertificatesBackend): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/certificates',
      role: 'read',
      summary: 'Certificates that servers show, those that end first at the beginning; without their keys.',
      query: pagingQuery,
      handle: async ({ query }) => ({ json: await backend.list(readPaging(query, LISTED, LISTED)) }),
    },
  ];
}

/** Certificates in one answer. */
const LISTED = 1_000;
