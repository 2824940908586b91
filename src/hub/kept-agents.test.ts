import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { MemoryLog } from '../../test/kit/tunnel.ts';
import { until } from '../../test/kit/until.ts';
import { KeptAgents, type RevocationRecord } from './kept-agents.ts';
import { KEPT_RECORDS } from './limits.ts';

const open: (() => void)[] = [];
afterEach(() => {
  while (open.length > 0) open.pop()!();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'windlass-kept-'));
  open.push(() => rmSync(path, { recursive: true }));
  return path;
}

async function keptIn(path: string | null, log = new MemoryLog()): Promise<KeptAgents> {
  const kept = new KeptAgents(path, log);
  open.push(() => kept.close());
  await kept.open();
  return kept;
}

const NOTE = { name: 'Ann', remark: 'a remark', labels: new Map([['__proto__', 'x']]), isDrained: true };
const REVOKED: RevocationRecord = { name: 'otter', atMs: 1_000, by: 'ann', reason: 'lost' };

test('what is said of agents is there after a restart, for its owner alone, and nothing is written before something is said', async () => {
  const path = folder();
  const first = await keptIn(path);
  expect(existsSync(join(path, 'agents'))).toBe(false);
  await first.notes.change((records) => records.set('box', NOTE));
  await first.revoke(new Map([['t1', REVOKED]]));
  await first.issued.change((records) => records.set('t2', { name: 'new', scopes: ['s'], labels: new Map([['a', 'b']]), atMs: 5, expiresMs: 0 }));
  expect(statSync(join(path, 'agents', 'revoked.json')).mode & 0o777).toBe(0o600);
  const second = await keptIn(path);
  expect([...second.notes.all]).toEqual([['box', NOTE]]);
  expect([...second.revocations]).toEqual([['t1', REVOKED]]);
  expect([...second.issued.all]).toEqual([...first.issued.all]);
});

test('each change is told once, with the ids that it is about, whoever made it', async () => {
  const path = folder();
  const [mine, theirs] = [await keptIn(path), await keptIn(path)];
  const told: string[] = [];
  mine.notes.changed = (ids) => told.push(ids.join(' '));
  await mine.notes.change((records) => records.set('a', NOTE).set('b', NOTE));
  expect(told).toEqual(['a b']);
  await theirs.notes.change((records) => records.set('b', { ...NOTE, isDrained: false }));
  await until('the other to hear', () => told.length > 1);
  expect(told).toEqual(['a b', 'b']);
  await mine.notes.change((records) => records.set('a', { ...NOTE, labels: new Map([['rack', '7']]) }));
  expect(told.at(-1)).toBe('a');
});

test('a token that is revoked counts no more before that is written, and does again only when that is written', async () => {
  const path = folder();
  writeFileSync(join(path, 'agents'), 'in the way');
  const kept = await keptIn(path);
  let heard = 0;
  kept.revoked.changed = () => heard++;
  const revoking = kept.revoke(new Map([['t', REVOKED]]));
  expect([kept.isRevoked('t'), heard]).toEqual([true, 1]);
  await expect(revoking).rejects.toThrow('cannot be made (EEXIST)');
  expect([...kept.revocations]).toEqual([['t', REVOKED]]);
  await expect(kept.pardon('t')).rejects.toThrow('cannot be made');
  expect(kept.isRevoked('t')).toBe(true);
  rmSync(join(path, 'agents'));
  expect([await kept.pardon('t'), kept.isRevoked('t'), await kept.pardon('t')]).toEqual([true, false, false]);
});

test('a token that was issued and is revoked is no agent to come any more', async () => {
  const kept = await keptIn(folder());
  await kept.issued.change((records) => records.set('t', { name: 'new', scopes: [], labels: new Map(), atMs: 0, expiresMs: 9_000 }));
  await kept.revoke(new Map([['t', REVOKED]]));
  expect(kept.issued.all.size).toBe(0);
});

test('files that cannot be read are named with the place, and are left as they are', async () => {
  for (const [name, text, why] of [
    ['revoked.json', '{"version":1,', 'revoked.json:1:'],
    ['notes.json', '{"version":1,"kind":"client keys","records":{}}', 'holds no notes on agents'],
    ['notes.json', '{"version":1,"kind":"notes on agents","records":{"x":{"name":1}}}', 'record x has no text name'],
    ['issued.json', '{"version":2,"kind":"issued agent tokens","records":{}}', 'is of version 2'],
  ] as const) {
    const path = folder();
    await (await keptIn(path)).revoke(new Map([['t', REVOKED]]));
    const file = join(path, 'agents', name);
    writeFileSync(file, text);
    await expect(keptIn(path)).rejects.toMatchObject({ lines: [expect.stringContaining(why)] });
    expect(readFileSync(file, 'utf8')).toBe(text);
  }
});

test('a file that is broken while the program runs changes nothing, and is told of once', async () => {
  const path = folder();
  const log = new MemoryLog();
  const kept = await keptIn(path, log);
  await kept.revoke(new Map([['t', REVOKED]]));
  writeFileSync(join(path, 'agents', 'revoked.json'), 'no JSON');
  await until('a line about it', () => log.lines.some(({ message }) => message.includes('stays as it was')));
  expect(kept.isRevoked('t')).toBe(true);
});

test('there is a bound to what is kept, and beyond it nothing is changed', async () => {
  const kept = await keptIn(null);
  await kept.notes.change((records) => {
    for (let i = 0; i < KEPT_RECORDS; i++) records.set(`a${i}`, NOTE);
  });
  await expect(kept.notes.change((records) => records.set('one more', NOTE))).rejects.toThrow('are not kept');
  expect(kept.notes.all.size).toBe(KEPT_RECORDS);
});
