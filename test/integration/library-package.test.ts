import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit } from '../kit/kit.ts';
import { Program } from '../kit/program.ts';

const tools = kit('file');
const program = new Program();
const root = new URL('../../', import.meta.url).pathname;
let folder = '';

/** A folder of somebody else, with the package as npm packs it, and what it depends on. */
beforeAll(() => {
  program.build();
  const packed = tools.folder();
  const { files, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[]; dependencies: object };
  for (const name of ['package.json', ...files.filter((one) => !one.startsWith('!') && one !== 'dist')])
    cpSync(join(root, name), join(packed, name), { recursive: true });
  cpSync(dirname(dirname(program.main)), join(packed, 'dist'), { recursive: true });
  execFileSync('npm', ['pack', '--ignore-scripts', '--offline', '--silent'], { cwd: packed, stdio: 'ignore' });
  folder = tools.folder();
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  const archive = readdirSync(packed).find((name) => name.endsWith('.tgz'))!;
  execFileSync('tar', ['-xzf', join(packed, archive), '-C', modules]);
  renameSync(join(modules, 'package'), join(modules, 'windlass'));
  for (const name of [...Object.keys(dependencies), '@types']) symlinkSync(join(root, 'node_modules', name), join(modules, name));
}, 120_000);
afterAll(() => program.close());

test('the packed package is imported from outside, and a service is served with it', { timeout: 60_000 }, () => {
  writeFileSync(
    join(folder, 'app.mjs'),
    `import { startHub } from 'windlass';
import { serve } from 'windlass/agent';
const stop = new AbortController();
const hub = await startHub({ secret: 'a secret', listen: { host: '127.0.0.1', port: 0 }, signal: stop.signal });
const { port } = hub.address;
const agent = await serve((request) => new Response('hello from ' + new URL(request.url).pathname), { hub: '127.0.0.1:' + port, token: hub.issueToken() });
await agent.ready;
console.log(await (await fetch('http://127.0.0.1:' + port + '/inside')).text());
await agent.close();
stop.abort();
`,
  );
  const { stdout, stderr, status } = spawnSync(process.execPath, ['app.mjs'], { cwd: folder, encoding: 'utf8', timeout: 30_000 });
  // It ends by itself: nothing that is closed keeps the process.
  expect({ stdout, stderr, status }).toEqual({ stdout: 'hello from /inside\n', stderr: '', status: 0 });
});

test('types of all entries are there and right: what fits compiles, what does not is refused', { timeout: 60_000 }, () => {
  const good = `import { startHub, startAgent, type Hub, type HubEvents } from 'windlass';
import { serve, type Agent } from 'windlass/agent';
import { definePlugin } from 'windlass/plugin';
import http from 'node:http';
const hub: Hub = await startHub({ secret: 'x', listen: null, queueTimeoutMs: 5000, signal: AbortSignal.timeout(1) });
http.createServer(hub.handle).on('upgrade', hub.upgrade);
const off: () => void = hub.on('attempted', ({ attempt, failure, durationMs }) => void [attempt.agent.id, failure?.code, durationMs.toFixed()]);
const seen: HubEvents['chunk'][] = [];
hub.on('chunk', (event) => seen.push(event));
const agents: Agent[] = [
  await serve((request: Request) => new Response(request.body), { hub: 'x', token: 'x' }),
  await serve((request, response) => void response.end(request.url), { hub: 'x', token: 'x', kind: 'node' }),
  await serve(http.createServer(), { hub: 'x', token: 'x' }),
  await startAgent({ hub: ['x', 'y'], token: 'x', upstream: 'localhost:1', slots: 2 }),
  await startAgent({ wire: 'cranker', route: 'r', hub: 'wss://x', handler: http.createServer() }),
];
const since: Date = hub.connections()[0]!.since;
export { off, agents, since, definePlugin };
`;
  const wrongs = [
    ['startHub({ secret: 7 })', 'good.startHub'],
    ["startAgent({ hub: 'x', token: 'x' })", 'neither upstream nor handler'],
    ["startAgent({ hub: 'x', token: 'x', upstream: 'y', handler: () => {} })", 'both'],
  ];
  writeFileSync(join(folder, 'good.mts'), good);
  writeFileSync(
    join(folder, 'wrong.mts'),
    `import { startHub, startAgent } from 'windlass';\n${wrongs.map(([code]) => `// @ts-expect-error\nawait ${code};`).join('\n')}\n`,
  );
  const options = ['--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext', '--exactOptionalPropertyTypes', '--types', 'node'];
  const { stdout, status } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...options, 'good.mts', 'wrong.mts'], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
});
