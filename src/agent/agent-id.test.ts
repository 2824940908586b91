import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryLog } from '../../test/kit/tunnel.ts';
import { agentId } from './agent-id.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-'));
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true });
});

test('an id that is given is taken, and nothing is written', () => {
  expect(agentId('mine', folder, new MemoryLog())).toBe('mine');
  expect(() => readFileSync(join(folder, 'agent-id'))).toThrow();
});

test('a new id is kept, for this user only, and found again', () => {
  const log = new MemoryLog();
  const state = join(folder, 'deep', 'state');
  const id = agentId(null, state, log);
  expect(id).toMatch(/^[\da-f]{16}$/);
  expect(agentId(null, state, log)).toBe(id);
  expect(statSync(join(state, 'agent-id')).mode & 0o077).toBe(0);
  expect(log.lines).toEqual([]);
});

test.each(['', '\0\0', 'a b', 'x'.repeat(65), '../../etc/passwd\n\nmore'])('a state file that holds no id is said and replaced: %j', (text) => {
  const log = new MemoryLog();
  writeFileSync(join(folder, 'agent-id'), text);
  const id = agentId(null, folder, log);
  expect(id).toMatch(/^[\da-f]{16}$/);
  expect(log.at('warn').length).toBe(1);
  expect(agentId(null, folder, new MemoryLog())).toBe(id);
});

test('a folder that cannot be written costs a warning, not the start', () => {
  const log = new MemoryLog();
  writeFileSync(join(folder, 'file'), '');
  expect(agentId(null, join(folder, 'file', 'state'), log)).toMatch(/^[\da-f]{16}$/);
  expect(log.at('warn').length).toBeGreaterThan(0);
});
