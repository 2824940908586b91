// How pages look and feel where lists move, figures are huge and names are hostile. Needs Chromium.
import { expect, test } from 'vitest';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';
import { OVERVIEW, tickOf } from '../kit/admin-facts.ts';
import { pageFaults } from './page-faults.ts';

const pages = consolePages();

test.runIf(hasBrowser)(
  'text that is too faint, text that is cut off, a button without a name and a table without heads are found',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/settings`);
    await page.locator('.audit-what').first().waitFor();
    expect(await pageFaults(page)).toEqual([]);
    await page.evaluate(() => {
      const bad = document.createElement('div');
      const faint = document.createElement('p');
      faint.style.color = 'rgb(150 150 150)';
      faint.append('hard to read');
      const cut = document.createElement('p');
      cut.style.cssText = 'width: 40px; overflow: hidden; white-space: nowrap';
      cut.append('longer than its place');
      const table = document.createElement('div');
      table.setAttribute('role', 'table');
      table.setAttribute('aria-label', 'bare');
      bad.append(faint, cut, document.createElement('button'), table);
      document.querySelector('main .page')!.prepend(bad);
    });
    const found = (await pageFaults(page)).join('\n');
    for (const fault of ['too faint, 2.', 'cut off: longer than', 'without a name: <button', 'without heads: <div role="table"'])
      expect(found).toContain(fault);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a press on a line of a list that moves opens that line, and who rests lets it move on',
  async () => {
    const mock = await pages.mock({ tickMs: 60 });
    const page = await pages.open(`${mock.url}#/traffic`);
    const lines = page.locator('.tbody .tr:not(.tr-waiting)');
    await lines.nth(3).waitFor();
    const box = (await lines.nth(3).boundingBox())!;
    await page.mouse.move(box.x + 60, box.y + 10);
    await page.mouse.move(box.x + 64, box.y + 12);
    await page.locator('.held').waitFor();
    await page.mouse.down();
    const path = await lines.nth(3).locator('code[title]').innerText();
    // Others come while it is pressed.
    const before = await page.locator('.held').innerText();
    await sees(async () => (await page.locator('.held').innerText()) !== before);
    await page.mouse.up();
    const dialog = page.locator('dialog[open]');
    await dialog.waitFor();
    expect(mock.world.traffic.find(({ id }) => page.url().includes(id))?.target).toBe(path);
    await page.keyboard.press('Escape');
    const newest = await lines.first().innerText();
    await sees(async () => (await lines.first().innerText()) !== newest);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'figures from none to a thousand million keep to their places, light and dark, wide and narrow',
  async () => {
    const huge = tickOf({
      requestsPerSecond: 1e9,
      byClass: { '2xx': 1e9, '3xx': 1e9, '4xx': 1e9, '5xx': 1e9 },
      inFlight: 1e9,
      p50Ms: 1e9,
      p95Ms: 1e9,
      p99Ms: 1e9,
      bytesInPerSecond: 1e15,
      bytesOutPerSecond: 1e15,
      queue: 1e9,
      queueOldestMs: 1e9,
      slots: 1e9,
      slotsFree: 1e9 - 1,
      agents: 1e9,
      connections: 1e9,
      memory: 1e15,
    });
    const none = tickOf({
      requestsPerSecond: 0,
      byClass: { '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
      inFlight: 0,
      p50Ms: null,
      p95Ms: null,
      p99Ms: null,
      bytesInPerSecond: 0,
      bytesOutPerSecond: 0,
      queue: 0,
      queueOldestMs: 0,
      slots: 0,
      slotsFree: 0,
      agents: 0,
      connections: 0,
    });
    for (const [name, tick] of Object.entries({ huge, none })) {
      const failures = [{ code: 'connect_failed', count: tick.queue }];
      const mock = await pages.mock({ tickMs: 60_000, routes: { 'GET /overview': () => ({ ...OVERVIEW, history: [tick, tick], failures }) } });
      const page = await pages.open(`${mock.url}#/overview`);
      for (const [width, colorScheme] of [
        [1440, 'light'],
        [1024, 'dark'],
        [390, 'light'],
      ] as const) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        await page.locator('.chart canvas').nth(5).waitFor();
        await page.locator('.node').first().waitFor();
        await picture(page, `figures-${name}-${width}`);
        expect(await pageFaults(page), `${name} ${width}`).toEqual([]);
      }
      expect(await page.locator('main').innerText()).not.toMatch(/NaN|Infinity|undefined/);
    }
  },
  TIMEOUT_MS,
);
