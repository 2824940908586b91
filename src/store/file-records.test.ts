import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { FileRecords } from './file-records.ts';
import { MemoryRecords } from './memory-records.ts';
import { type RecordForm, type Records, StoreError } from './records.ts';

const folders: string[] = [];
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function place(name = 'keys.json'): string {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-store-'));
  folders.push(folder);
  return join(folder, name);
}

const form: RecordForm<{ n: number }> = {
  kind: 'numbers',
  read(value) {
    const n = (value as { n?: unknown } | null)?.n;
    if (typeof n !== 'number') throw new Error('has no number n');
    return { n };
  },
  write: ({ n }) => ({ n }),
};

test.each<[string, () => Records<{ n: number }>]>([
  ['memory', () => new MemoryRecords()],
  ['a file', () => new FileRecords(place(), form, 5)],
])('in %s records are kept, changed as one and followed', async (_where, make) => {
  const records = make();
  expect(await records.change((all) => all.set('a', { n: 1 }).size)).toBe(1);
  await Promise.all(Array.from({ length: 20 }, (_, i) => records.change((all) => all.set(`k${i}`, { n: i }))));
  expect((await records.all()).size).toBe(21);
  const changed = new Promise<ReadonlyMap<string, { n: number }>>((resolve, reject) => ends.push(records.follow(resolve, reject)));
  await records.change((all) => all.delete('a'));
  expect([...(await changed).keys()]).not.toContain('a');
  await expect(
    records.change(() => {
      throw new Error('on purpose');
    }),
  ).rejects.toThrow('on purpose');
  expect((await records.all()).size).toBe(20);
});

test('a file is written whole, for its owner alone, and nothing is left beside it', async () => {
  const path = place();
  const records = new FileRecords(path, form);
  await records.change((all) => all.set('a', { n: 1 }));
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ version: 1, kind: 'numbers', records: { a: { n: 1 } } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  // Who could read it before can read it afterwards.
  chmodSync(path, 0o640);
  await records.change((all) => all.set('b', { n: 2 }));
  expect(statSync(path).mode & 0o777).toBe(0o640);
  expect(readdirSync(join(path, '..'))).toEqual(['keys.json']);
  const link = join(path, '..', 'link.json');
  symlinkSync(path, link);
  await new FileRecords(link, form).change((all) => all.set('c', { n: 3 }));
  expect((await records.all()).size).toBe(3);
});

test.each([
  ['{\n  "version": 1,\n  oops', '3:3 is no JSON'],
  ['', '1:1 is no JSON'],
  ['{"version":1,"kind":"numbers","records":{"a":{"n":1}', ' is no JSON'],
  ['[]', 'holds no numbers'],
  ['{"version":1,"kind":"others","records":{}}', 'holds no numbers'],
  ['{"version":2,"kind":"numbers","records":{}}', 'is of version 2'],
  ['{"version":1,"kind":"numbers","records":[]}', 'has no records'],
  ['{"version":1,"kind":"numbers","records":{"x7":{"n":"canary"}}}', 'record x7 has no number n'],
])('%s is refused with the place, not shown and not overwritten', async (text, said) => {
  const path = place();
  writeFileSync(path, text);
  const records = new FileRecords(path, form);
  for (const attempt of [() => records.all(), () => records.change((all) => all.clear())]) {
    const error: unknown = await attempt().catch((problem: unknown) => problem);
    expect(error).toBeInstanceOf(StoreError);
    expect((error as Error).message).toContain(path);
    expect((error as Error).message).toContain(said);
    expect((error as Error).message).not.toContain('canary');
  }
  expect(readFileSync(path, 'utf8')).toBe(text);
  expect(existsSync(`${path}.lock`)).toBe(false);
});

test('a file that is not there, is too large or cannot be opened is refused', async () => {
  const path = place();
  await expect(new FileRecords(path, form).all()).rejects.toThrow('does not exist');
  writeFileSync(path, Buffer.alloc(17 * 1024 * 1024));
  await expect(new FileRecords(path, form).all()).rejects.toThrow('is larger than');
  await expect(new FileRecords(join(path, 'below'), form).all()).rejects.toThrow('cannot be read');
  await expect(new FileRecords(join(path, 'below'), form).change(() => {})).rejects.toThrow('cannot be changed');
});

test('a lock that was left behind long ago holds nobody up', async () => {
  const path = place();
  writeFileSync(`${path}.lock`, '');
  const long = Date.now() / 1000 - 3600;
  utimesSync(`${path}.lock`, long, long);
  await new FileRecords(path, form).change((all) => all.set('a', { n: 1 }));
  expect(existsSync(`${path}.lock`)).toBe(false);
});

test('who follows hears once of what cannot be read, and again of what can', async () => {
  const path = place();
  const records = new FileRecords(path, form, 5);
  await records.change((all) => all.set('a', { n: 1 }));
  await records.all();
  const told: string[] = [];
  let heard = (): void => {};
  ends.push(
    records.follow(
      (all) => {
        told.push(`${all.size} records`);
        heard();
      },
      ({ message }) => {
        told.push(message.replace(path, 'it'));
        heard();
      },
    ),
  );
  const next = (): Promise<void> => new Promise((resolve) => (heard = resolve));
  let wait = next();
  writeFileSync(path, 'no JSON');
  await wait;
  wait = next();
  rmSync(path);
  await records.change((all) => all.set('a', { n: 1 }).set('b', { n: 2 }));
  while (told.at(-1) !== '2 records') {
    await wait;
    wait = next();
  }
  expect(told[0]).toContain('it:1:1 is no JSON');
  expect(told.at(-1)).toBe('2 records');
  expect(new Set(told).size).toBe(told.length);
});
