import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { LocalToken, localTokenPath } from './local-token.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'windlass-local-'));
  folders.push(made);
  return join(made, 'state');
}

const at = (host: string, port = 9080) => ({ host, port });

test('the token is for its owner alone, and moves with the address', () => {
  const state = folder();
  const local = new LocalToken();
  local.leave(state, at('127.0.0.1'));
  const path = localTokenPath(state, at('127.0.0.1'));
  expect([statSync(path).mode & 0o777, statSync(state).mode & 0o777, readFileSync(path, 'utf8')]).toEqual([0o600, 0o700, `${local.token}\n`]);
  local.leave(state, at('127.0.0.1', 9081));
  expect(readdirSync(state)).toEqual(['admin-token-9081']);
  local.remove();
  local.remove();
  expect(readdirSync(state)).toEqual([]);
});

test('programs at one port of several addresses have one each; whoever takes an address over keeps its own', () => {
  const state = folder();
  const [one, two, heir] = [new LocalToken(), new LocalToken(), new LocalToken()];
  one.leave(state, at('127.0.0.1'));
  two.leave(state, at('127.0.0.2'));
  expect(readdirSync(state).toSorted()).toEqual(['admin-token-127.0.0.2-9080', 'admin-token-9080']);
  expect(localTokenPath(state, at('0.0.0.0'))).toBe(localTokenPath(state, at('localhost')));
  expect(localTokenPath('/s', at('../../x'))).toBe('/s/admin-token-.._.._x-9080');
  heir.leave(state, at('127.0.0.1'));
  one.remove();
  expect(readFileSync(localTokenPath(state, at('127.0.0.1')), 'utf8').trim()).toBe(heir.token);
  expect(new Set([one.token, two.token, heir.token]).size).toBe(3);
});

test('a token that a killed program left is written over, and nothing lies beside it', () => {
  const state = folder();
  const local = new LocalToken();
  local.leave(state, at('127.0.0.1'));
  writeFileSync(localTokenPath(state, at('127.0.0.1')), 'old');
  const next = new LocalToken();
  next.leave(state, at('127.0.0.1'));
  expect(readdirSync(state)).toEqual(['admin-token-9080']);
  expect(readFileSync(localTokenPath(state, at('127.0.0.1')), 'utf8')).toBe(`${next.token}\n`);
});
