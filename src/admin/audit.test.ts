import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { nullLog } from '../observe/log.ts';
import type { Deed } from './api.ts';
import { AuditLog } from './audit.ts';
import { adminLimits } from './limits.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function place(): string {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-audit-'));
  folders.push(folder);
  return join(folder, 'admin-audit.jsonl');
}

const clock = { now: () => 1, wall: () => 1_000 };

const deed = (subject: string): Deed => ({
  asker: { name: 'alice', role: 'admin', by: 'session' },
  address: '192.0.2.1',
  action: 'POST /x/{id}',
  subject,
  status: 200,
  detail: '',
});

test('whatever a subject holds, an entry is one line, and what is long is cut [threat 61]', async () => {
  const path = place();
  const lines: unknown[] = [];
  const audit = new AuditLog(path, clock, { ...nullLog, info: (fields) => lines.push(fields) });
  audit.done(deed('a\r\n{"who":"root"}\u001b[2J\u0000"'));
  audit.done(deed('x'.repeat(10_000)));
  await audit.close();
  const written = readFileSync(path, 'utf8');
  expect(written.split('\n')).toHaveLength(3);
  // oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
  expect(written.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f]/);
  expect(written.length).toBeLessThan(1_000);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(lines).toHaveLength(2);
});

test('times go up even when the clock stands, so that a page can begin behind any entry', () => {
  const audit = new AuditLog(null, clock, nullLog);
  for (let i = 0; i < 10; i++) audit.done(deed(String(i)));
  const { items, total } = audit.page(4, Number.MAX_SAFE_INTEGER);
  expect([total, ...items.map(({ subject }) => subject)]).toEqual([10, '9', '8', '7', '6']);
  expect(audit.page(100, items.at(-1)!.atMs).items.map(({ subject }) => subject)).toEqual(['5', '4', '3', '2', '1', '0']);
});

test('memory and file are bounded: the newest entries are here, and a long file becomes the older one', async () => {
  const path = place();
  writeFileSync(path, 'x'.repeat(adminLimits.auditFileBytes + 1));
  const audit = new AuditLog(path, clock, nullLog);
  for (let i = 0; i < 3 * adminLimits.auditEntries; i++) audit.done(deed(String(i)));
  expect(audit.page(10_000, Number.MAX_SAFE_INTEGER)).toMatchObject({ total: adminLimits.auditEntries, items: expect.arrayContaining([]) });
  expect(audit.page(1, Number.MAX_SAFE_INTEGER).items[0]!.subject).toBe(String(3 * adminLimits.auditEntries - 1));
  await audit.close();
  expect(statSync(`${path}.1`).size).toBe(adminLimits.auditFileBytes + 1);
  expect(statSync(path).size).toBeLessThan(adminLimits.auditFileBytes);
});

test('what cannot be written is told once, and is in the log all the same', async () => {
  const path = place();
  mkdirSync(path);
  const said: string[] = [];
  const audit = new AuditLog(path, clock, { ...nullLog, info: () => said.push('info'), error: () => said.push('error') });
  await audit.open();
  audit.done(deed('a'));
  audit.done(deed('b'));
  await audit.close();
  expect(said.toSorted()).toEqual(['error', 'info', 'info']);
});
