// Every live screen in a real browser: it is drawn, it follows the server, and what its buttons say happens. Needs Chromium (Debian package chromium).
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';

const pages = consolePages();
const NAMES = { overview: 'Overview', agents: 'Agents', queue: 'Queue', upstreams: 'Upstreams', traffic: 'Traffic' } as const;

/** The screen has been drawn with what the server says. */
async function drawn(page: Page, screen: keyof typeof NAMES): Promise<void> {
  await page.getByRole('heading', { level: 1, name: NAMES[screen] }).waitFor();
  if (screen === 'overview') {
    await page.locator('.node').first().waitFor();
    await page.locator('.chart canvas').first().waitFor();
    await page.locator('.attention').first().waitFor();
  } else await page.locator('.tbody .tr:not(.tr-waiting)').first().waitFor();
}

test.runIf(hasBrowser).each(Object.keys(NAMES) as (keyof typeof NAMES)[])(
  '%s is drawn light and dark, on a desk and down to a phone of 360 pixels, and no page scrolls sideways',
  async (screen) => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/${screen}`);
    for (const [look, colorScheme, width, height] of [
      ['light', 'light', 1440, 900],
      ['dark', 'dark', 1440, 900],
      ['tablet', 'light', 820, 1100],
      ['small-phone', 'dark', 360, 640],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
      await drawn(page, screen);
      await picture(page, `${screen}-${look}`);
      const [outside, main, ground] = await page.evaluate(() => {
        const content = document.querySelector('main')!;
        return [
          document.documentElement.scrollWidth - innerWidth,
          content.scrollWidth - content.clientWidth,
          getComputedStyle(document.body).backgroundColor,
        ] as const;
      });
      expect([look, outside <= 0, main <= 0]).toEqual([look, true, true]);
      expect([look, ground]).toEqual([look, colorScheme === 'dark' ? 'rgb(13, 17, 22)' : 'rgb(244, 246, 248)']);
      expect([look, await unnamed(page)]).toEqual([look, []]);
    }
  },
  TIMEOUT_MS,
);

/** What can be used but has no name for those who cannot see it, and ids that stand twice. */
function unnamed(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const odd: string[] = [];
    for (const element of document.querySelectorAll<HTMLElement>(
      'button, a[href], input, select, textarea, [role=row][tabindex], dialog, table, [role=table], [role=img], nav',
    )) {
      if (!element.checkVisibility()) continue;
      const label = element.getAttribute('aria-label') ?? document.getElementById(element.getAttribute('aria-labelledby') ?? '')?.textContent ?? '';
      const forIt = element.id === '' ? '' : (document.querySelector(`label[for="${CSS.escape(element.id)}"]`)?.textContent ?? '');
      if ((label + forIt + (element.textContent ?? '')).trim() === '') odd.push(element.outerHTML.slice(0, 120));
    }
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    return [...odd, ...ids.filter((id, i) => ids.indexOf(id) !== i)];
  });
}

test.runIf(hasBrowser)(
  'numbers, lines and the list of requests move without a reload, and lines stand still for who wants no motion',
  async () => {
    const mock = await pages.mock({ tickMs: 200 });
    const page = await pages.open(`${mock.url}#/overview`);
    await drawn(page, 'overview');
    const shown = (): Promise<string> => page.locator('.tiles').innerText();
    const before = await shown();
    await sees(async () => (await shown()) !== before);
    expect(
      await page.evaluate(() => document.getAnimations().filter((one) => one instanceof CSSAnimation && one.animationName === 'flow').length),
    ).toBeGreaterThan(5);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await sees(
      async () =>
        (await page.evaluate(
          () =>
            document.getAnimations().filter((one) => one instanceof CSSAnimation && one.animationName === 'flow' && one.playState === 'running')
              .length,
        )) === 0,
    );
    await page.goto(`${mock.url}#/traffic`);
    const first = page.locator('.tbody .tr').first();
    await first.waitFor();
    const newest = await first.innerText();
    await sees(async () => (await first.innerText()) !== newest);
    // One stream of events for the page and one for the list, however long it is looked at.
    expect(mock.requests.filter((line) => line === 'GET /api/v1/events').length).toBe(1);
    expect(mock.requests.filter((line) => line.startsWith('GET /api/v1/traffic/events')).length).toBe(1);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'ten thousand agents are a few dozen rows in the document, and each of them can be reached',
  async () => {
    const mock = await pages.mock({ agents: 10_000 });
    const page = await pages.open(`${mock.url}#/agents`);
    await drawn(page, 'agents');
    const rows = page.locator('.tbody .tr');
    expect(await rows.count()).toBeLessThan(60);
    expect(await page.locator('.table').getAttribute('aria-rowcount')).toBe('10001');
    const last = mock.world.agents.toSorted((a, b) => (a.name < b.name ? -1 : 1)).at(-1)!.name;
    await page.locator('.table').evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await page.locator('.tbody').getByText(last, { exact: true }).waitFor();
    expect(await rows.count()).toBeLessThan(60);
    // Only what is in sight was asked for.
    expect(mock.requests.filter((line) => /limit=(?:[3-9]\d\d|\d{4,})/.test(line) && line.startsWith('GET /api/v1/agents'))).toEqual([]);
    // The keyboard walks through them, too.
    await rows.last().focus();
    await page.keyboard.press('Home');
    await sees(async () => (await page.evaluate(() => document.activeElement?.getAttribute('data-row'))) === '0');
    await page.keyboard.press('ArrowDown');
    await sees(async () => (await page.evaluate(() => document.activeElement?.getAttribute('data-row'))) === '1');
    await page.keyboard.press('Enter');
    await page.locator('dialog[open]').waitFor();
    await page.keyboard.press('Escape');
    await page.getByLabel('Name, id or label').fill(last);
    await sees(
      async () =>
        (await page.locator('.table').getAttribute('aria-rowcount')) ===
        String(mock.world.agents.filter(({ name }) => name.includes(last)).length + 1),
    );
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'an agent is registered, its token is seen this once, and it is drained, named and revoked',
  async () => {
    const mock = await pages.mock({ agents: 5 });
    const page = await pages.open(`${mock.url}#/agents`);
    await drawn(page, 'agents');
    await page.getByRole('button', { name: 'Register an agent' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByLabel('Name').fill('taken');
    await dialog.getByRole('button', { name: 'Make the token' }).click();
    await dialog.getByText('there is an agent of that name').waitFor();
    await dialog.getByLabel('Name').fill('new-one');
    await dialog.getByLabel('Labels').fill('not a label');
    await dialog.getByText('is not name=value').waitFor();
    await dialog.getByLabel('Labels').fill('region=eu');
    await dialog.getByRole('button', { name: 'Make the token' }).click();
    await dialog.getByText('windlass agent run').waitFor();
    const token = await dialog.locator('.copy-secret').innerText();
    expect(token).toMatch(/^wl_[\da-f]{64}$/);
    await picture(page, 'agents-token');
    // Not lost by a slip of the hand.
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    expect(await dialog.isVisible()).toBe(true);
    await dialog.getByRole('button', { name: 'I have copied it' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(await page.content()).not.toContain(token);
    expect(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]) + location.href)).not.toContain(token);

    const victim = mock.world.agents.find(({ state }) => state === 'serving')!;
    await page.locator('.tbody').getByText(victim.name, { exact: true }).click();
    await dialog.getByRole('button', { name: 'Drain' }).click();
    await dialog.getByRole('button', { name: 'Resume' }).waitFor();
    expect(victim.state).toBe('draining');
    await dialog.getByRole('button', { name: 'Resume' }).click();
    await dialog.getByRole('button', { name: 'Drain' }).waitFor();
    await dialog.getByRole('tab', { name: 'Name and labels' }).click();
    await dialog.getByLabel('Name', { exact: true }).fill('renamed');
    await dialog.getByRole('textbox', { name: 'Labels' }).fill('zone=a\nflag');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await sees(() => victim.name === 'renamed');
    expect(victim.labels).toEqual({ zone: 'a', flag: '' });
    await dialog.getByRole('button', { name: 'Revoke …' }).click();
    const confirmation = page.locator('dialog[open]').last();
    await confirmation.getByRole('button', { name: 'Cancel' }).click();
    expect(mock.world.agents).toContain(victim);
    await dialog.getByRole('button', { name: 'Revoke …' }).click();
    await confirmation.getByLabel('Reason').fill('lost');
    await confirmation.getByRole('button', { name: 'Revoke it' }).click();
    await sees(() => !mock.world.agents.includes(victim));
    await page.getByRole('button', { name: 'Revoked agents' }).click();
    await dialog.getByText('lost', { exact: true }).waitFor();
    await dialog.locator('.session', { hasText: victim.id }).getByRole('button', { name: 'Let in again' }).click();
    await dialog.getByText('lost', { exact: true }).waitFor({ state: 'detached' });
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'who waits in the queue is cancelled, and an endpoint is taken out and put back, each after a question',
  async () => {
    const mock = await pages.mock({ quiet: false, tickMs: 60_000 });
    const page = await pages.open(`${mock.url}#/queue`);
    await drawn(page, 'queue');
    const waiting = mock.world.waiting.length;
    await page.getByRole('button', { name: 'Cancel' }).first().click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Cancel it' }).click();
    await sees(() => mock.world.waiting.length === waiting - 1);
    await page.goto(`${mock.url}#/upstreams/shop`);
    const shop = page.locator('.upstream', { hasText: '10.20.0.11:8080' });
    const row = shop.locator('.tr', { hasText: '10.20.0.11:8080' });
    await row.getByRole('button', { name: 'Take out' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Take out' }).click();
    await row.getByText('Taken out').waitFor();
    await row.getByRole('button', { name: 'Put back' }).click();
    await row.getByText('Well').waitFor();
    // The last one that is well is not taken out without saying what that means.
    await shop.locator('.tr', { hasText: '10.20.0.12:8080' }).getByRole('button', { name: 'Take out' }).click();
    await page.locator('dialog[open]').getByRole('button', { name: 'Take out' }).click();
    await shop.locator('.tr', { hasText: '10.20.0.12:8080' }).getByText('Taken out').waitFor();
    await row.getByRole('button', { name: 'Take out' }).click();
    await page.locator('dialog[open]').getByText('It is the last one that is well').waitFor();
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'traffic is switched on with a press, filtered, held, and one request tells its whole story and is sent again',
  async () => {
    const mock = await pages.mock({ inspector: false, tickMs: 300 });
    const page = await pages.open(`${mock.url}#/traffic`);
    await page.getByText('The inspector is off').waitFor();
    await picture(page, 'traffic-off');
    await page.getByRole('button', { name: 'Switch the inspector on' }).click();
    await drawn(page, 'traffic');
    await page.getByRole('button', { name: '4xx', exact: true }).click();
    await sees(async () => (await page.locator('.tbody .tr .badge').allInnerTexts()).every((text) => text.startsWith('4')));
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await page.getByLabel('Path contains').fill('/v1/models');
    await sees(async () => {
      const paths = await page.locator('.tbody .tr code[title]').allInnerTexts();
      return paths.length > 0 && paths.every((text) => text.includes('/v1/models'));
    });
    expect(page.url()).toContain('path=%2Fv1%2Fmodels');
    await page.getByRole('button', { name: /^Pause/ }).click();
    const held = await page.locator('.tbody .tr').first().innerText();
    await page.locator('.held').waitFor();
    expect(await page.locator('.tbody .tr').first().innerText()).toBe(held);
    await page.locator('.held').click();
    await page.locator('.held').waitFor({ state: 'detached' });

    const item = mock.world.traffic.find(({ method }) => method === 'GET')!;
    await page.goto(`${mock.url}#/traffic/${item.id}`);
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('Where the time went').waitFor();
    await picture(page, 'traffic-story');
    const bars = dialog.locator('.waterfall-track');
    expect(await bars.count()).toBeGreaterThan(3);
    const inside = await dialog.locator('.waterfall').evaluate((element) => {
      const edge = element.getBoundingClientRect();
      return [...element.querySelectorAll('.waterfall-bar')].every(
        (bar) => bar.getBoundingClientRect().left >= edge.left - 1 && bar.getBoundingClientRect().right <= edge.right + 4,
      );
    });
    expect(inside).toBe(true);
    await dialog.getByText('authorization', { exact: true }).first().waitFor();
    await dialog.getByRole('button', { name: 'Send it again' }).click();
    await sees(() => page.url().includes(mock.world.traffic.at(-1)!.id) || !page.url().includes(item.id));
    expect(mock.requests.filter((line) => line.endsWith('/replay'))).toEqual([`POST /api/v1/traffic/${item.id}/replay`]);
    await page.keyboard.press('Escape');
    await page.goto(`${mock.url}#/traffic/long-gone`);
    await page.getByText('This request is not kept any more').waitFor();
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a server where nothing is yet says on every screen what will be there and how it comes',
  async () => {
    const nothing = { total: 0, items: [] };
    const mock = await pages.mock({ agents: 0, quiet: true, unwell: false, routes: { 'GET /upstreams': () => nothing } });
    const page = await pages.open(`${mock.url}#/overview`);
    await page.getByText('Nothing has come yet').waitFor();
    await picture(page, 'overview-empty');
    for (const [screen, says] of [
      ['agents', 'No agent has joined yet'],
      ['queue', 'Nobody waits'],
      ['upstreams', 'No upstream yet'],
      ['traffic', 'Nothing has come yet'],
    ]) {
      await page.goto(`${mock.url}#/${screen}`);
      await page.locator('.empty').getByText(says!).waitFor();
    }
  },
  TIMEOUT_MS,
);
