import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cheapHash } from '../../test/kit/password.ts';
import { adminLimits } from '../admin/limits.ts';
import { loadGateway } from './gateway.ts';
import { configLimits } from './limits.ts';
import { readRevoked } from './revoked.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'windlass-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const GOOD =
  '[servers.web]\naddr = "127.0.0.1:8080"\nlocations = ["api"]\n[locations.api]\nupstream = "api"\n[upstreams.api]\naddrs = ["127.0.0.1:3000"]\n';

function put(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** What is wrong with it; '' = nothing. */
async function told(source: string): Promise<string> {
  return loadGateway(source, {}).then(
    () => '',
    (error: unknown) => (error as Error).message,
  );
}

test('a file may lie so many folders deep, and not one deeper', async () => {
  const deep = Array.from({ length: configLimits.folderDepth }, (_, i) => `f${i}`).join('/');
  put(`conf/${deep}/a.toml`, GOOD);
  expect(await told(join(folder, 'conf'))).toBe('');
  put(`conf/${deep}/one/b.toml`, '[basic]\nname = "x"\n');
  expect(await told(join(folder, 'conf'))).toContain(`lies more than ${configLimits.folderDepth} folders deep; move it up`);
});

test('a name of an item may be so long, and not longer', async () => {
  const most = 'n'.repeat(configLimits.nameChars);
  const named = (name: string): string => put('a.toml', `${GOOD}[upstreams.${name}]\naddrs = ["127.0.0.1:1"]\n`);
  expect(await told(named(most))).toBe('');
  expect(await told(named(`${most}n`))).toContain(`is too long for a name; use at most ${configLimits.nameChars} characters`);
});

test('the name of somebody who may log in may be as long as a login takes it', async () => {
  const most = 'n'.repeat(adminLimits.nameCharacters);
  const named = (name: string): string => put('a.toml', `${GOOD}[admins.${name}]\nrole = "read"\npassword = "${cheapHash('x')}"\n`);
  expect(await told(named(most))).toBe('');
  expect(await told(named(`${most}n`))).toContain('too long');
});

test('lists may stand within each other as deep as the bound, and the file says where they go deeper', async () => {
  const nested = (depth: number): string => put('a.toml', `${GOOD}[basic]\nname = ${'['.repeat(depth)}${']'.repeat(depth)}\n`);
  // Nothing of ours is that deep: it is refused for what it is, not for its depth.
  expect(await told(nested(configLimits.depth - 2))).toMatch(/basic\.name .*is/);
  expect(await told(nested(configLimits.depth - 2))).not.toContain('nested');
  expect(await told(nested(configLimits.depth + 2))).toContain('excessively nested');
});

test('a file with a secret may have so many bytes, and one more is no secret', async () => {
  const of = (bytes: number): string => {
    put('secret', `a secret of thirty-two characters${'\n'.repeat(bytes - 33)}`);
    return put('a.toml', `${GOOD}[agents]\nsecret_file = "secret"\n`);
  };
  expect(await told(of(configLimits.secretFileBytes))).toBe('');
  expect(await told(of(configLimits.secretFileBytes + 1))).toContain(`is larger than ${configLimits.secretFileBytes} bytes`);
});

test('a list of revoked tokens may have so many bytes: one that is longer is refused and not read in part', () => {
  const of = (bytes: number): string => put('revoked', `stolen\n${'#'.repeat(bytes - 7)}`);
  expect(readRevoked(of(configLimits.revokedFileBytes))).toEqual(['stolen']);
  expect(() => readRevoked(of(configLimits.revokedFileBytes + 1))).toThrow(`is larger than ${configLimits.revokedFileBytes} bytes`);
});

test('of more problems a thousand are told, and how many more there are', async () => {
  const lines = Array.from({ length: configLimits.problems + 5 }, (_, i) => `no_key_${i} = 1`).join('\n');
  const said = (await told(put('a.toml', `${GOOD}[basic]\n${lines}\n`))).split('\n');
  expect(said).toHaveLength(configLimits.problems + 1);
  expect(said.at(-1)).toMatch(/\b5\b.*more/);
});
