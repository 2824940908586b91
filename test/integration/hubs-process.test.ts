import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kit, metricBecomes, tokenFor } from '../kit/kit.ts';
import { Program } from '../kit/program.ts';
import { asks, startHolding } from '../kit/stage.ts';

const tools = kit();
const program = new Program();
beforeAll(() => program.build(), 60_000);
afterAll(() => program.close());

/** A configuration file of an agent between a hub and an origin; `write` changes the number of its slots. */
function configOf(hub: { address: { port: number } }, origin: { port: number }): { file: string; write(slots: number): void } {
  const folder = tools.folder();
  const file = join(folder, 'agent.toml');
  writeFileSync(join(folder, 'token'), tokenFor());
  return {
    file,
    write: (slots) =>
      writeFileSync(
        file,
        `[agent]\nhub = ["127.0.0.1:${hub.address.port}"]\nupstream = ["127.0.0.1:${origin.port}"]\ntoken_file = "token"\nagent_id = "box"\nslots_lock = "slots"\nnum_worker = ${slots}\n`,
      ),
  };
}

test("slots are the next process's as soon as the one that held them is killed", { timeout: 30_000 }, async () => {
  const { origin, arrived } = await startHolding(tools);
  const hub = await tools.startHubWith();
  const config = configOf(hub, origin);
  config.write(1);
  const old = program.run(['agent', 'run', '--config', config.file]);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 1);
  await asks(tools, hub, '/cut');
  await arrived(0);
  program.run(['agent', 'run', '--config', config.file]);
  await metricBecomes(hub, 'windlass_agent_sessions', (sessions) => sessions === 2);
  const waits = await asks(tools, hub, '/next', ['Slime-Block: 1']);
  await metricBecomes(hub, 'windlass_queue_size', (size) => size === 1);
  expect(origin.running).toBe(1);
  old.child.kill('SIGKILL');
  (await arrived(1)).response.end('ok');
  expect((await waits.answer()).status).toBe(200);
});

test('SIGHUP reads the number of slots anew, and a file that cannot be read changes nothing', { timeout: 30_000 }, async () => {
  const { origin } = await startHolding(tools);
  const hub = await tools.startHubWith();
  const config = configOf(hub, origin);
  config.write(2);
  const agent = program.run(['agent', 'run', '--config', config.file]);
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 2);
  config.write(5);
  agent.child.kill('SIGHUP');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 5);
  writeFileSync(config.file, 'num_worker = ');
  agent.child.kill('SIGHUP');
  await metricBecomes(hub, 'windlass_agents_connected', () => agent.err.includes('the configuration was not read anew'));
  config.write(3);
  agent.child.kill('SIGHUP');
  await metricBecomes(hub, 'windlass_agent_slots{state="free"}', (free) => free === 3);
  expect(agent.alive).toBe(true);
});
