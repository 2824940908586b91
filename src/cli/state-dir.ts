import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where programs of this user keep state (XDG base directories), or null when the user has no place. */
export function defaultStateDir(env: Record<string, string | undefined>): string | null {
  const xdg = env['XDG_STATE_HOME'];
  // The specification has relative paths ignored.
  if (xdg !== undefined && xdg.startsWith('/')) return join(xdg, 'windlass');
  const home = env['HOME'] ?? homedir();
  return home === '' || home === '/' ? null : join(home, '.local', 'state', 'windlass');
}
