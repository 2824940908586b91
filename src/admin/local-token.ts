import { join } from 'node:path';

/**
 * The file with the token of the admin API at this port: a program that serves it writes one at its start (mode 0600) and removes it at its end, and
 * commands of the same user find it. Who may read the file is the operator.
 */
export function localTokenPath(stateDir: string, port: number): string {
  return join(stateDir, `admin-token-${port}`);
}
