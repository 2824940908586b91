import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { commands } from './commands.ts';
import { run } from './run.ts';

async function script(shell: string): Promise<string> {
  const world = fakeWorld();
  expect(await run(['completion', shell], world)).toBe(0);
  return world.out();
}

/** What bash offers for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const typed = ['windlass', ...words].map((word) => `'${word}'`).join(' ');
  const ask = `${await script('bash')}\nCOMP_WORDS=(${typed})\nCOMP_CWORD=${words.length}\n_windlass\nprintf '%s\\n' "\${COMPREPLY[@]}"\n`;
  return execFileSync('bash', ['--norc', '-c', ask], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '');
}

test('bash completes commands, their second words, flags, and values of which there are few', async () => {
  expect(await offered('sta')).toEqual(['status']);
  expect(await offered('hub', '')).toEqual(['run', 'register', 'install']);
  expect(await offered('agents', 'dr')).toEqual(['drain']);
  expect(await offered('agent', 'run', '--tok')).toEqual(['--token', '--token-file']);
  expect(await offered('agents', '--state', 'd')).toEqual(['draining']);
  expect(await offered('help', 'grpc')).toEqual(['grpc-proxy']);
  expect(await offered('run', '-c', 'x')).toEqual([]);
  expect(await offered('')).toEqual(expect.arrayContaining([...new Set(commands.map(({ words }) => words[0]!)), 'help']));
});

test('every command and flag is in each script, and quotes in help break nothing', async () => {
  const fish = await script('fish');
  for (const { words } of commands) expect(fish).toContain(`'__windlass_in ${words.join(' ')}' -l help`);
  for (const line of fish.split('\n').filter((one) => one.startsWith('complete'))) expect(line.split("'").length % 2, line).toBe(1);
  expect(await script('zsh')).toBe(`autoload -U +X bashcompinit && bashcompinit\n${await script('bash')}`);
});
