import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { nullLog } from '../observe/log.ts';
import { type Demo, startDemo } from './demo.ts';

async function withDemo(port: number, orNext: boolean, use: (demo: Demo) => Promise<void>): Promise<void> {
  const demo = await startDemo(port, orNext, nullLog);
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
  await expect(startDemo(port, false, nullLog)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await withDemo(port, true, async (demo) => {
    expect(demo.port).toBeGreaterThan(port);
    expect((await fetch(`${demo.url}/`)).status).toBe(200);
  });
  server.close();
});
