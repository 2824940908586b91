import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: ['ignore', 'ignore', 'inherit'] });
}, 120_000);

test.each(['SIGINT', 'SIGTERM'] as const)('windlass demo prints three curl lines that work, and %s ends it', { timeout: 40_000 }, async (signal) => {
  const demo = spawn(process.execPath, [join(root, 'dist', 'cli', 'main.js'), 'demo', '--port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(demo, 'exit') as Promise<[number | null]>;
  try {
    let said = '';
    for await (const piece of demo.stdout.setEncoding('utf8')) {
      said += piece as string;
      if (said.includes('Ctrl-C')) break;
    }
    const lines = said.split('\n').filter((line) => line.startsWith('curl '));
    expect(lines).toHaveLength(3);
    const answers = lines.map((line) =>
      execFileSync('bash', ['-c', line], { timeout: 5_000, stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' }),
    );
    expect(JSON.parse(answers[0]!)).toMatchObject({ object: 'list' });
    expect(answers[1]).toMatch(/event: end\ndata: \{\}\n\n$/);
    expect(answers[2]).toMatch(/data: \[DONE\]\n\n$/);
    demo.kill(signal);
    // The second one of a key press that npm passes on must not cut what the first one ends in order.
    demo.kill(signal);
    expect((await exited)[0]).toBe(0);
  } finally {
    demo.kill('SIGKILL');
  }
});
