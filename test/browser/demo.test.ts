// As somebody new would: from the demo's link to one's own request, an agent that comes and goes, and a file that is broken, in a browser over the real program. Needs Chromium.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startDemo } from '../../src/cli/demo.ts';
import { nullLog } from '../../src/observe/log.ts';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';
import { kit } from '../kit/kit.ts';

const tools = kit();
const pages = consolePages();

test.runIf(hasBrowser)(
  'from the link of the demo to the waterfall of one’s own request, and an agent registered, joined and revoked, only with the mouse',
  async () => {
    const demo = await startDemo(0, false, { ...nullLog, level: 'error' });
    tools.later(() => demo.close());
    const page = await pages.open(demo.consoleUrl);
    const refused: string[] = [];
    page.on('response', (response) => {
      if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`);
    });
    await page.locator('.node', { hasText: 'agents' }).first().waitFor();
    expect(page.url()).not.toContain('ticket');

    const reply = await fetch(`${demo.url}/v1/models?mine`, { headers: { Authorization: 'Bearer canary-of-the-demo' } });
    expect(reply.status).toBe(200);
    await page.getByRole('link', { name: 'Traffic', exact: true }).click();
    await page.locator('.tbody').getByText('/v1/models?mine').click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('Where the time went').waitFor();
    for (const part of ['Tunnel', 'Agent', 'Upstream']) await dialog.getByRole('rowheader', { name: new RegExp(`^${part}`) }).waitFor();
    expect(await page.content()).not.toContain('canary-of-the-demo');
    await picture(page, 'demo-story');
    await dialog.getByRole('button', { name: 'Send it again' }).click();
    await page.locator('.toast', { hasText: 'Sent again' }).waitFor();
    await page.keyboard.press('Escape');
    await sees(async () => (await page.locator('.tbody').getByText('/v1/models?mine').count()) === 2);

    await page.getByRole('link', { name: 'Agents', exact: true }).click();
    await page.getByRole('button', { name: 'Register an agent' }).click();
    await dialog.getByLabel('Name').fill('<b>newcomer</b>');
    await dialog.getByRole('button', { name: 'Make the token' }).click();
    const token = await dialog.locator('.copy-secret').innerText();
    const agent = await tools.dialHub({ port: demo.port }, await tools.startOrigin(), { token });
    await dialog.getByText('<b>newcomer</b> has joined.').waitFor();
    await dialog.getByRole('button', { name: 'I have copied it' }).click();
    await page.locator('.tbody').getByText('<b>newcomer</b>').click();
    await dialog.getByRole('button', { name: 'Revoke …' }).click();
    await page.locator('dialog[open]').last().getByRole('button', { name: 'Revoke it' }).click();
    await page.locator('.tbody').getByText('<b>newcomer</b>').waitFor({ state: 'detached' });
    await sees(() => agent.log.some((line) => JSON.stringify(line).includes('revoked')));

    // Every way in which the page can ask is one that the program understands.
    for (const name of ['Name', 'State', 'Slots', 'Served', 'Joined']) {
      for (let i = 0; i < 2; i++) await page.getByRole('columnheader', { name }).getByRole('button').click();
    }
    for (const name of ['Serving', 'Draining', 'Away', 'All']) await page.getByRole('button', { name, exact: true }).click();
    await page.getByRole('button', { name: 'Revoked agents' }).click();
    await dialog.getByText('<b>newcomer</b>').waitFor();
    await page.keyboard.press('Escape');
    for (const name of ['Queue', 'Upstreams', 'Overview', 'Traffic']) await page.getByRole('link', { name, exact: true }).click();
    for (const name of ['2xx', '3xx', '4xx', '5xx', 'All']) await page.getByRole('button', { name, exact: true }).click();
    await page.getByLabel('Method').selectOption('POST');
    for (const slow of ['100', '5000', '']) await page.getByLabel('Slower than').selectOption(slow);
    await page.getByLabel('Method').selectOption('GET');
    const lines = page.locator('.tbody .tr:not(.tr-waiting)');
    await fetch(`${demo.url}/v1/another`);
    await page.locator('.tbody').getByText('/v1/another').waitFor();
    await page.getByLabel('Path contains').fill('odel');
    await page.locator('.tbody').getByText('/v1/another').waitFor({ state: 'detached' });
    await sees(async () => (await lines.count()) > 0 && (await lines.count()) === (await page.locator('.tbody').getByText('/v1/models').count()));
    expect(refused).toEqual([]);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a file that an editor has broken is the first thing that the overview says, until it is mended, and the one before serves on',
  async () => {
    const demo = await startDemo(0, false, { ...nullLog, level: 'error' });
    tools.later(() => demo.close());
    const page = await pages.open(demo.consoleUrl);
    await page.locator('.attention-well').waitFor();
    const text = readFileSync(demo.file, 'utf8');
    writeFileSync(demo.file, `${text}\n[locations.broken]\nupstrem = "agents"\n`);
    await page.locator('.attention-bad', { hasText: 'The configuration on disk cannot be used' }).waitFor();
    await picture(page, 'demo-broken');
    expect((await fetch(`${demo.url}/v1/models`)).status).toBe(200);
    writeFileSync(demo.file, text);
    await page.locator('.attention-well').waitFor();
  },
  TIMEOUT_MS,
);
