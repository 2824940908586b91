import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { run } from './run.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function place(): string {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-keys-'));
  folders.push(folder);
  return join(folder, 'keys.json');
}

async function keys(...words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const world = fakeWorld({});
  const code = await run(['keys', ...words], world);
  return { code, out: world.out(), err: world.err() };
}

test('a key is shown once, the file has only its digest, and it can be listed and revoked', async () => {
  const store = place();
  const added = await keys('add', '--store', store, '--name', 'mobile app', '--rate', '100/1m', '--inflight', '4', '--weight', '3');
  expect(added.code).toBe(0);
  expect(added.err).toContain('mobile app');
  const key = added.out.trim();
  const id = /^wk_([a-z2-9]{12})_[\w-]{43}$/.exec(key)![1]!;
  expect(readFileSync(store, 'utf8')).not.toContain(key.slice(16));
  expect((await keys('list', '--store', store)).out).toBe(`${id}  valid    mobile app  (100 per 1m, 4 at once, weight 3)\n`);
  expect((await keys('revoke', id, '--store', store)).code).toBe(0);
  expect((await keys('list', '--store', store)).out).toContain(`${id}  revoked`);
  const again = await keys('revoke', '--store', store, '--id', id);
  expect([again.code, again.err]).toEqual([0, expect.stringContaining('works no more')]);
});

test('for scripts there is JSON, without digests', async () => {
  const store = place();
  const added = JSON.parse((await keys('add', '--store', store, '--name', 'a', '--expires', '1h', '--class', '5', '--json')).out) as Record<
    string,
    unknown
  >;
  expect(added).toMatchObject({ name: 'a', state: 'valid', class: 5, rate: null, key: expect.stringMatching(/^wk_/) as string });
  expect(Date.parse(added['expires'] as string) - Date.parse(added['created'] as string)).toBe(3_600_000);
  const listed = await keys('list', '--store', store, '--json');
  expect(JSON.parse(listed.out)).toMatchObject([{ id: added['id'], state: 'valid' }]);
  expect(listed.out).not.toContain('hash');
  expect(JSON.parse((await keys('revoke', added['id'] as string, '--store', store, '--json')).out)).toMatchObject({ state: 'revoked' });
  await keys('add', '--store', store, '--name', 'old', '--expires', '1ms');
  await expect.poll(async () => (JSON.parse((await keys('list', '--store', store, '--json')).out) as { state: string }[])[1]!.state).toBe('expired');
});

test('ten programs that add keys at the same time lose none', async () => {
  const store = place();
  await Promise.all(Array.from({ length: 10 }, (_, i) => keys('add', '--store', store, '--name', `n${i}`)));
  expect((await keys('list', '--store', store)).out.trim().split('\n').length).toBe(10);
});

test.each([
  [['list', '--store', 'STORE'], 'STORE does not exist'],
  [['revoke', 'abcdefghjkmn', '--store', 'STORE'], 'STORE does not exist'],
  [['add', '--store', 'STORE'], 'name'],
  [['add', '--name', 'a'], 'store'],
  [['add', '--store', 'STORE', '--name', 'a', '--rate', '100'], 'is no rate'],
  [['add', '--store', 'STORE/x', '--name', 'a'], 'cannot be changed'],
  [['revoke', 'no id', '--store', 'STORE'], 'is not of the right form'],
])('%j is refused', async (words, said) => {
  const store = place();
  const { code, out, err } = await keys(...words.map((word) => word.replace('STORE', word === 'STORE/x' ? '/dev/null' : store)));
  expect([code, out]).toEqual([2, '']);
  expect(err).toContain(said.replace('STORE', store));
});

test('a key that is not there, and a file that is broken, are told and change nothing', async () => {
  const store = place();
  await keys('add', '--store', store, '--name', 'a');
  const missing = await keys('revoke', 'abcdefghjkmn', '--store', store);
  expect([missing.code, missing.err]).toEqual([2, expect.stringContaining('there is no key abcdefghjkmn')]);
  writeFileSync(store, '{"kind": canary');
  const broken = await keys('add', '--store', store, '--name', 'a');
  expect(broken.code).toBe(2);
  expect(broken.err).toContain(`${store}:1:`);
  expect(broken.err).not.toContain('canary');
  expect(readFileSync(store, 'utf8')).toBe('{"kind": canary');
});
