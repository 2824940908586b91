import { expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { builtInPlugins } from '../config/plugin-definitions.ts';
import { run } from './run.ts';

test('plugins lists all of them, one line each', async () => {
  const world = fakeWorld();
  expect(await run(['plugins'], world)).toBe(0);
  const lines = world.out().split('\n');
  for (const { name } of builtInPlugins()) expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^${name} +\\S`)));
  expect(lines.length).toBe(builtInPlugins().length + 3);
  expect(world.err()).toBe('');
});

test('plugins NAME shows its options, with defaults and what must be given', async () => {
  const world = fakeWorld({ WINDLASS_CONFIG: 'somewhere.toml' });
  expect(await run(['plugins', 'limit'], world)).toBe(0);
  expect(world.out()).toContain('category = "limit"');
  expect(world.out()).toMatch(/^max +requests that may begin .*; required\)$/m);
  expect(world.out()).toMatch(/^interval .*default 10s\)$/m);
  expect(world.out()).toContain('steps: request, proxy_upstream');
});

test('plugins --json is for scripts', async () => {
  const world = fakeWorld();
  expect(await run(['plugins', 'ip-restriction', '--json'], world)).toBe(0);
  expect(JSON.parse(world.out())).toMatchObject({
    name: 'ip_restriction',
    steps: ['request'],
    options: [{ key: 'ip_list', required: true }, {}, {}],
  });
  const all = fakeWorld();
  expect(await run(['plugins', '--json'], all)).toBe(0);
  expect((JSON.parse(all.out()) as { name: string }[]).map(({ name }) => name)).toEqual(builtInPlugins().map(({ name }) => name));
});

test('a plugin that is none gets a hint', async () => {
  const world = fakeWorld();
  expect(await run(['plugins', 'limits'], world)).toBe(2);
  expect(world.err()).toContain('"limits" is no plugin; did you mean limit?');
});
