import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { History } from './history.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function version(n: number, served = true) {
  return { atMs: n, by: 'alice', note: `note ${n}`, etag: `e${n}`, served, files: [{ name: 'a.toml', text: `x = ${n}` }] };
}

test.each(['a folder', 'memory'])('versions are kept in %s, newest first, a hundred of them', async (where) => {
  const history = new History(where === 'memory' ? null : folder, '/etc/gateway.toml');
  for (let n = 1; n <= 103; n++) await history.keep(version(n));
  const list = await history.list();
  expect(list).toHaveLength(100);
  expect(list[0]).toEqual({ id: '00000103', atMs: 103, by: 'alice', note: 'note 103', etag: 'e103', served: true, changed: ['x'] });
  expect(await history.get('00000103')).toMatchObject({ files: [{ name: 'a.toml', text: 'x = 103' }] });
  expect(await history.get('00000001')).toBeNull();
  expect(await history.get('../x')).toBeNull();
});

test('what is there is found again by the next process, and only its user may read it', async () => {
  const history = new History(folder, '/etc/gateway.toml');
  await history.keep(version(1));
  await history.keep(version(2, false));
  const inside = join(folder, 'history', readdirSync(join(folder, 'history'))[0]!);
  expect(statSync(inside).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(inside)) expect(statSync(join(inside, name)).mode & 0o777).toBe(0o600);
  writeFileSync(join(inside, '00000003.json'), '{"broken');
  const next = new History(folder, '/etc/gateway.toml');
  expect((await next.list()).map(({ etag, served }) => [etag, served])).toEqual([
    ['e2', false],
    ['e1', true],
  ]);
  expect(await new History(folder, '/etc/other.toml').list()).toEqual([]);
});

test('the same texts again are no other version; that they serve now is noted', async () => {
  const history = new History(folder, '/etc/gateway.toml');
  await Promise.all([history.keep(version(1, false)), history.keep({ ...version(1), by: 'bob' }), history.keep(version(1, false))]);
  expect(await new History(folder, '/etc/gateway.toml').list()).toMatchObject([{ by: 'alice', served: true }]);
});
