import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { at, Library } from '../kit/library.ts';

const library = new Library(kit());
const src = new URL('../../src/', import.meta.url).pathname;

/** All files that a file loads when it runs, itself included. */
function loadedBy(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(file, 'utf8');
  // Imports that only the compiler reads are gone when it runs.
  for (const [, names, to] of text.matchAll(/^(?:import|export)\s+((?!type\b)(?:[\w*{][^;'"]*?\sfrom\s+)?)'(\.[^']+)'/gm)) {
    const listed = /\{([^}]*)\}/.exec(names!)?.[1];
    const isOfTypes = listed !== undefined && !/\w+\s*,?\s*\{/.test(names!) && listed.split(',').every((name) => /^\s*(?:type\s.*)?$/.test(name));
    if (!isOfTypes) loadedBy(join(dirname(file), to!), seen);
  }
  for (const [, to] of text.matchAll(/\bimport\(\s*'(\.[^']+)'\s*\)/g)) loadedBy(join(dirname(file), to!), seen);
  return seen;
}

function roomsOf(entry: string): ReadonlySet<string> {
  return new Set([...loadedBy(join(src, entry))].map((file) => relative(src, file).split('/')[0]!));
}

test('windlass/agent loads neither configuration nor plugins nor pages for operators nor a hub', () => {
  const rooms = roomsOf('agent.ts');
  for (const room of ['config', 'plugins', 'admin', 'hub', 'cli', 'proxy', 'store']) expect(rooms).not.toContain(room);
  // The walk sees what there is to see.
  expect(rooms).toContain('tunnel');
  expect(roomsOf('index.ts')).toContain('config');
});

test('a hub and an agent of the library change nothing of the process: no handlers of signals and ends, no title, no folder', async () => {
  const state = () => ({
    title: process.title,
    folder: process.cwd(),
    handlers: Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name as string)])),
  });
  const before = state();
  const hub = await library.hub();
  const agent = await library.serve(hub, () => new Response('ok'), { kind: 'fetch' });
  expect(await (await fetch(at(hub))).text()).toBe('ok');
  expect(state()).toEqual(before);
  await agent.close();
  await hub.close();
  expect(state()).toEqual(before);
});
