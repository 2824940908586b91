import type { Role } from '../../../src/admin/route.ts';
import { session } from './client.ts';

const RANK: Record<Role, number> = { read: 0, operate: 1, admin: 2 };

/** May who looks at the page do what takes this role? The server asks again; this only spares them a refusal. */
export function may(role: Role): boolean {
  const who = session.value;
  return who !== null && who !== undefined && RANK[who.role] >= RANK[role];
}
