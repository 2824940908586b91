import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { nullLog, type RootLog } from '../observe/log.ts';
import { type Demo, startDemo } from './demo.ts';

const quiet: RootLog = { ...nullLog, level: 'error' };

async function withDemo(port: number, orNext: boolean, use: (demo: Demo) => Promise<void>): Promise<void> {
  const demo = await startDemo(port, orNext, quiet);
  try {
    await use(demo);
  } finally {
    await demo.close();
  }
}

test('a started demo answers through hub, tunnel, agent and service', async () => {
  await withDemo(0, false, async ({ url, adminUrl, slots }) => {
    const models = await fetch(`${url}/v1/models`);
    expect(models.status).toBe(200);
    expect(models.headers.get('slime-agent-id')).not.toBeNull();
    expect(await models.json()).toMatchObject({ data: [{ id: 'demo' }] });
    expect(await (await fetch(`${adminUrl}/readyz`)).text()).toBe('ok\n');
    expect(await (await fetch(`${adminUrl}/metrics`)).text()).toContain(`windlass_agent_slots{state="free"} ${slots}\n`);
  });
});

test('the demo runs from a file of its own: its link opens the console, what is changed in the file serves, and nothing is left', async () => {
  let folder = '';
  await withDemo(0, false, async ({ url, adminUrl, consoleUrl, file, tokenFile }) => {
    folder = dirname(file);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(consoleUrl.startsWith(`${adminUrl}/#ticket=`)).toBe(true);
    // What is restored or saved again later listens where it listened.
    expect(readFileSync(file, 'utf8')).toContain(`addr = "${new URL(url).host}"`);
    expect(readFileSync(file, 'utf8')).toContain(`admin_addr = "${new URL(adminUrl).host}"`);
    const login = () =>
      fetch(`${adminUrl}/api/v1/session/ticket`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ ticket: consoleUrl.split('=')[1] }),
      });
    expect(await (await login()).json()).toMatchObject({ user: 'local', role: 'admin' });
    expect((await login()).status).toBe(401);
    const api = (path: string, init: RequestInit = {}) =>
      fetch(`${adminUrl}/api/v1${path}`, { ...init, headers: { Authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` } });
    expect(await (await api('/info')).json()).toMatchObject({ kind: 'gateway', name: 'demo', source: file, state: 'serving' });
    const text = readFileSync(file, 'utf8').replace('locations = ["models"]', 'locations = ["models", "hello"]');
    writeFileSync(
      `${file}.new`,
      `${text}\n[locations.hello]\npath = "/hello"\nweight = 9000\nplugins = ["hello"]\n[plugins.hello]\ncategory = "mock"\ndata = "hi"\n`,
    );
    renameSync(`${file}.new`, file);
    await expect.poll(async () => (await fetch(`${url}/hello`)).text(), { timeout: 10_000 }).toBe('hi');
  });
  expect(existsSync(folder)).toBe(false);
});

test('the token of a demo lies where commands of its user look, and is taken away at the end', async () => {
  const tokens = mkdtempSync(join(tmpdir(), 'windlass-demo-tokens-'));
  const demo = await startDemo(0, false, quiet, tokens);
  try {
    expect(dirname(demo.tokenFile)).toBe(tokens);
    const info = await fetch(`${demo.adminUrl}/api/v1/info`, { headers: { Authorization: `Bearer ${readFileSync(demo.tokenFile, 'utf8').trim()}` } });
    expect(info.status).toBe(200);
  } finally {
    await demo.close();
  }
  expect(readdirSync(tokens)).toEqual([]);
  rmSync(tokens, { recursive: true });
});

test('tokens of the model arrive one by one, not at the end', async () => {
  await withDemo(0, false, async ({ url }) => {
    const reply = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: '{"stream": true}' });
    let pieces = 0;
    let text = '';
    for await (const piece of reply.body!) {
      pieces++;
      text += Buffer.from(piece).toString();
    }
    expect(text).toMatch(/data: \[DONE\]\n\n$/);
    expect(pieces).toBeGreaterThan(10);
  });
});

test('a taken port makes the demo take the next, unless that very port was asked for', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await expect(startDemo(port, false, quiet)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await withDemo(port, true, async (demo) => {
    expect(demo.port).toBeGreaterThan(port);
    expect((await fetch(`${demo.url}/`)).status).toBe(200);
  });
  server.close();
});
