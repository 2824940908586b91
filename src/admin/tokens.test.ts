import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { nullLog, type Log } from '../observe/log.ts';
import { FileRecords } from '../store/file-records.ts';
import { MemoryRecords } from '../store/memory-records.ts';
import { adminLimits } from './limits.ts';
import { tokenForm, type TokenRecord, Tokens } from './tokens.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function place(): string {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-tokens-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  return join(folder, 'admin-tokens.json');
}

const clock = { now: () => performance.now(), wall: () => Date.now() };

async function open(path: string, log: Log = nullLog): Promise<Tokens> {
  const tokens = new Tokens(new FileRecords(path, tokenForm, 5), clock, log);
  ends.push(() => tokens.close());
  await tokens.open();
  return tokens;
}

test('what another process revokes or makes counts here soon', async () => {
  const path = place();
  const [here, there] = [await open(path), await open(path)];
  const { id, token } = await there.issue('ci', 'read', 0);
  await expect.poll(() => here.use(token)?.role() ?? null).toBe('read');
  await there.revoke(id);
  await expect.poll(() => here.use(token)).toBeNull();
});

test('tokens that cannot be read let nobody in, the log says so once, and nothing is written over them', async () => {
  const path = place();
  const first = await open(path);
  const { token } = await first.issue('ci', 'admin', 0);
  const said: unknown[] = [];
  const second = await open(path, { ...nullLog, error: (fields, message) => said.push([fields, message]) });
  expect(second.use(token)?.role()).toBe('admin');
  const text = readFileSync(path, 'utf8').replace('"role": "admin"', '"role": "emperor"');
  writeFileSync(path, text);
  await expect.poll(() => second.use(token)).toBeNull();
  expect(said).toEqual([[expect.objectContaining({ error: expect.stringContaining('has no role') }), expect.stringContaining('they let nobody in')]]);
  await expect(second.issue('x', 'read', 0)).rejects.toThrow('has no role');
  expect(readFileSync(path, 'utf8')).toBe(text);
});

test('a token that cannot be written down is none', async () => {
  const tokens = await open(join(place(), 'no such folder', 'admin-tokens.json'));
  await expect(tokens.issue('ci', 'read', 0)).rejects.toThrow('cannot be changed');
  expect(tokens.list()).toEqual([]);
});

test('there are only so many tokens, and those that are too old make room', async () => {
  let ms = 1_000;
  const moved = { now: () => ms, wall: () => ms };
  const record = (n: number): [string, TokenRecord] => [
    `t${n}`,
    { name: 'x', role: 'read', digest: `d${n}`, createdAtMs: 0, expiresAtMs: n === 0 ? 2_000 : 0, lastUsedAtMs: 0 },
  ];
  const tokens = new Tokens(new MemoryRecords(Array.from({ length: adminLimits.tokens }, (_, n) => record(n))), moved, nullLog);
  await tokens.open();
  await expect(tokens.issue('one more', 'read', 0)).rejects.toMatchObject({ status: 507 });
  ms = 2_000;
  expect((await tokens.issue('one more', 'read', 0)).token).toMatch(/^wlt_/);
  expect(tokens.list().map(({ id }) => id)).not.toContain('t0');
  tokens.close();
});
