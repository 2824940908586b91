import { generateKeyPairSync } from 'node:crypto';
import * as jose from 'jose';
import { expect, test } from 'vitest';
import { kit } from '../../../test/kit/kit.ts';
import { MovedTime } from '../../../test/kit/moved-time.ts';
import { MemoryLog } from '../../../test/kit/tunnel.ts';
import { turns, until } from '../../../test/kit/until.ts';
import { Jwks, KeysUnavailable } from './jwks.ts';
import { JWKS_COOLDOWN_MS, JWKS_FIRST_COOLDOWN_MS } from './limits.ts';

const made = kit();
const TTL_MS = 3_600_000;

async function keyNamed(kid: string): Promise<object> {
  return { ...(await jose.exportJWK(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)), kid, alg: 'ES256', use: 'sig' };
}

/** Keys behind a server that answers as told. */
async function start(first: { status?: number; keys?: object[]; body?: string }) {
  const state = { status: 200, keys: [] as object[], body: undefined as string | undefined, asked: 0, ...first };
  const server = await made.startOrigin((_request, response) => {
    state.asked++;
    response.writeHead(state.status, state.status === 302 ? { Location: '/other' } : {});
    response.end(state.body ?? JSON.stringify({ keys: state.keys }));
  });
  const time = new MovedTime();
  const log = new MemoryLog();
  const jwks = new Jwks(`http://127.0.0.1:${server.port}/`, TTL_MS, jose, time.clock, log);
  made.later(() => jwks.close());
  const find = async (kid: string): Promise<string> => {
    try {
      await jwks.find({ alg: 'ES256', kid }, { payload: '', signature: '' });
      return 'found';
    } catch (error) {
      return error instanceof KeysUnavailable ? 'unavailable' : (error as { code: string }).code;
    }
  };
  return { state, time, log, find };
}

test('keys are fetched when somebody needs them, and once, however many do', async () => {
  const { state, find } = await start({ keys: [await keyNamed('one')] });
  await turns(20);
  expect(state.asked).toBe(0);
  expect(await Promise.all(Array.from({ length: 20 }, () => find('one')))).toEqual(Array(20).fill('found'));
  expect(state.asked).toBe(1);
});

test('an unknown key is looked for, by one request for all and at most every ten seconds', async () => {
  const { state, time, find } = await start({ keys: [await keyNamed('one')] });
  expect(await find('one')).toBe('found');
  state.keys = [await keyNamed('two')];
  expect(await find('two')).toBe('ERR_JWKS_NO_MATCHING_KEY');
  expect(state.asked).toBe(1);
  time.pass(JWKS_COOLDOWN_MS);
  expect(await Promise.all(['two', 'two', 'two', 'made-up'].map(find))).toEqual(['found', 'found', 'found', 'ERR_JWKS_NO_MATCHING_KEY']);
  for (let i = 0; i < 5; i++) expect(await find(`made-up-${i}`)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  expect(state.asked).toBe(2);
  // It has been taken back.
  expect(await find('one')).toBe('ERR_JWKS_NO_MATCHING_KEY');
});

test('old keys are good while new ones are fetched, and stay when that fails', async () => {
  const { state, time, log, find } = await start({ keys: [await keyNamed('one')] });
  expect(await find('one')).toBe('found');
  state.keys = [];
  for (const bad of [
    { status: 500 },
    { status: 302 },
    { body: '{' },
    { body: 'null' },
    { body: '{"keys":[]}' },
    { body: `"${'x'.repeat(300_000)}"` },
  ]) {
    Object.assign(state, { status: 200, body: undefined }, bad);
    const { asked } = state;
    time.pass(TTL_MS + 1);
    expect(await find('one')).toBe('found');
    await until('the server to be asked', () => (state.asked > asked ? true : null));
    time.pass(JWKS_COOLDOWN_MS);
    expect(await find('unknown')).toBe('ERR_JWKS_NO_MATCHING_KEY');
  }
  expect(log.at('warn').length).toBe(1);
  Object.assign(state, { status: 200, body: undefined, keys: [await keyNamed('two')] });
  time.pass(JWKS_COOLDOWN_MS);
  expect(await find('two')).toBe('found');
  expect(log.at('info')).toEqual(['the keys of jwks_url could be fetched again']);
});

test('secrets and private keys among public keys are none of ours', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { find } = await start({
    keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'secret' }, { ...(await jose.exportJWK(privateKey)), kid: 'private' }, await keyNamed('one')],
  });
  expect(await Promise.all(['secret', 'private', 'one'].map(find))).toEqual(['ERR_JWKS_NO_MATCHING_KEY', 'ERR_JWKS_NO_MATCHING_KEY', 'found']);
});

test('while there are no keys at all, it is tried again after a second', async () => {
  const { state, time, find } = await start({ status: 503 });
  expect(await find('one')).toBe('unavailable');
  Object.assign(state, { status: 200, keys: [await keyNamed('one')] });
  expect(await find('one')).toBe('unavailable');
  time.pass(JWKS_FIRST_COOLDOWN_MS);
  expect(await find('one')).toBe('found');
  expect(state.asked).toBe(2);
});
