import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Log } from '../observe/log.ts';

const SHAPE = /^[A-Za-z0-9._-]{1,64}$/;

/** The agent's id: given, or kept in a state file, or new. Stable across restarts, so that logs and limits can speak of one agent. */
export function agentId(given: string | null, stateDir: string | null, log: Log): string {
  if (given !== null) return given;
  const fresh = randomBytes(8).toString('hex');
  if (stateDir === null) return fresh;
  const file = path.join(stateDir, 'agent-id');
  try {
    const kept = readFileSync(file, 'utf8').trim();
    if (SHAPE.test(kept)) return kept;
    log.warn({ file }, 'the state file holds no agent id: a new one is made');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn({ file, error: (error as Error).message }, 'the state file cannot be read: a new agent id is used');
  }
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, `${fresh}\n`, { mode: 0o600 });
    renameSync(draft, file);
  } catch (error) {
    log.warn(
      { file, error: (error as Error).message },
      'the agent id cannot be kept: the next start will have another (--state-dir names a folder, --agent-id an id)',
    );
  }
  return fresh;
}
