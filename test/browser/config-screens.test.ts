// Routing, configuration, certificates, logs and settings in a real browser: drawn in every look, steady when the server is away. Needs Chromium.
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';
import { configInfo } from '../kit/every-key.ts';
import { pageFaults } from './page-faults.ts';

const pages = consolePages();

/** Places, each with what is there when it is drawn. */
const PLACES: Readonly<Record<string, readonly [place: string, drawn: string]>> = {
  routing: ['routing?url=https%3A%2F%2Fexample.com%2Fapi%2Fusers', '.considered-taken'],
  summary: ['configuration', '.version'],
  servers: ['configuration/servers', '.tbody .tr'],
  locations: ['configuration/locations', '.tbody .tr'],
  location: ['configuration/locations/api', '[data-key=plugins] .sortable-row'],
  upstream: ['configuration/upstreams/api', '.addresses-row'],
  plugin: ['configuration/plugins/users', '.secret-set'],
  'new plugin': ['configuration/plugins?new=1', '.kind'],
  basic: ['configuration/basic', '[data-key=log_level] select'],
  toml: ['configuration/files', '.cm-line'],
  history: ['configuration/history', '.version'],
  transfer: ['configuration/transfer', '.import-text'],
  certificates: ['certificates', '.certificate'],
  logs: ['logs', '.log-line'],
  settings: ['settings', '.audit-what'],
};

const LOOKS = [
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['small-phone', { colorScheme: 'dark', viewport: { width: 360, height: 640 } }],
] as const;

async function go(page: Page, place: string): Promise<void> {
  await page.evaluate((hash) => (location.hash = hash), `#/${place}`);
}

test.runIf(hasBrowser).each(LOOKS)(
  'every screen is drawn (%s), fits the page, and names all that can be used',
  async (look, options) => {
    const mock = await pages.mock();
    const page = await pages.open(mock.url, options);
    for (const [name, [place, drawn]] of Object.entries(PLACES)) {
      await go(page, place);
      await page.locator(drawn).first().waitFor();
      await picture(page, `${name.replace(' ', '-')}-${look}`);
      expect(await pageFaults(page), name).toEqual([]);
    }
  },
  TIMEOUT_MS * 2,
);

test.runIf(hasBrowser)(
  'every screen speaks Chinese, down to its buttons',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(mock.url, { locale: 'zh-CN' });
    for (const [name, [place, drawn]] of Object.entries(PLACES)) {
      await go(page, place);
      await page.locator(drawn).first().waitFor();
      const says = await page.evaluate(() =>
        [...document.querySelectorAll('main h1, main h2, main .config-title, main .button, main [role=tab]')]
          .map((element) => (element as HTMLElement).innerText.trim())
          .filter((text) => text !== '' && !/[\u4e00-\u9fff]/.test(text)),
      );
      // Names of items, of styles and of roles are what they are.
      const own = ['api', 'users', 'web', 'secure', 'tiny', 'short', 'common', 'combined', 'json', 'addresses'];
      expect(
        says.filter((text) => !own.includes(text.split('\n')[0]!)),
        name,
      ).toEqual([]);
    }
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a server that goes away breaks no page, and what was typed is still there to be saved when it is back',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/configuration/locations/api`, { mayComplain: /Failed to load resource|ERR_/ });
    await page.locator('[data-key=remark] input').fill('not lost');
    await page.route('**/api/v1/**', (route) => route.abort('connectionrefused'));
    await page.getByRole('button', { name: 'Review and save' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.locator('.note-bad').waitFor();
    expect(await dialog.getByRole('button', { name: 'Save and put to use' }).isDisabled()).toBe(true);
    await picture(page, 'review-away');
    await dialog.getByRole('button', { name: 'Try again' }).click();
    await dialog.locator('.note-bad').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    expect(await page.locator('[data-key=remark] input').inputValue()).toBe('not lost');
    // Other places say so, too, and do not break.
    await page.getByRole('link', { name: 'Certificates', exact: true }).first().click();
    await page
      .locator('dialog[open]')
      .getByRole('button', { name: 'Stay' })
      .or(page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }))
      .click();
    expect(await page.locator('[data-key=remark] input').inputValue()).toBe('not lost');
    await page.unroute('**/api/v1/**');
    await page.getByRole('button', { name: 'Review and save' }).click();
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(await page.getByRole('button', { name: 'Review and save' }).count()).toBe(0);
    await page.route('**/api/v1/**', (route) => route.abort('connectionrefused'));
    for (const place of ['certificates', 'settings', 'routing', 'configuration/history', 'logs', 'configuration/files']) {
      await go(page, place);
      await page.locator('main h1').waitFor();
      expect(await page.getByText('This screen has failed').count(), place).toBe(0);
    }
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'who leaves with something unsaved is asked first, between items as between screens',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/configuration/locations/api`);
    const written = await page.locator('[data-key=remark] input').inputValue();
    await page.locator('[data-key=remark] input').fill('half done');
    const dialog = page.locator('dialog[open]');
    for (const link of ['Upstreams', 'Traffic']) {
      const scope =
        link === 'Traffic' ? page.getByRole('navigation', { name: 'Screens' }) : page.getByRole('navigation', { name: 'Parts of the configuration' });
      await scope.getByRole('link', { name: new RegExp(`^${link}`) }).click();
      await dialog.getByText('locations.api').waitFor();
      await dialog.getByRole('button', { name: 'Cancel' }).click();
      await dialog.waitFor({ state: 'detached' });
      expect(await page.locator('[data-key=remark] input').inputValue()).toBe('half done');
      expect(page.url()).toContain('locations/api');
    }
    await page
      .getByRole('navigation', { name: 'Parts of the configuration' })
      .getByRole('link', { name: /^Upstreams/ })
      .click();
    await dialog.getByRole('button', { name: 'Leave' }).click();
    await page.locator('.config-title', { hasText: 'Upstreams' }).waitFor();
    await go(page, 'configuration/locations/api');
    await page.locator('[data-key=remark] input').waitFor();
    expect(await page.locator('[data-key=remark] input').inputValue()).toBe(written);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'who may only look sees everything and can change nothing',
  async () => {
    const mock = await pages.mock({ role: 'read' });
    const page = await pages.open(`${mock.url}#/configuration/locations/api`);
    await page.getByText('Changing takes the role admin').waitFor();
    expect(await page.locator('.item-form [data-key] :is(input, select, textarea, .switch, .button):not(:disabled)').count()).toBe(0);
    await go(page, 'configuration/files');
    await page.locator('.cm-line').first().waitFor();
    const written = await page.locator('.cm-content').innerText();
    await page.locator('.cm-content').click();
    await page.keyboard.type('nothing');
    expect(await page.locator('.cm-content').innerText()).toBe(written);
    expect(await page.getByRole('button', { name: 'Review and save' }).count()).toBe(0);
    await go(page, 'settings');
    await page.getByText('may look', { exact: false }).first().waitFor();
    expect(await page.getByText('Tokens for scripts').count()).toBe(0);
    expect(mock.requests.filter((line) => /^(?:POST|PUT|DELETE)/.test(line) && !line.includes('/check') && !line.includes('/routing/'))).toEqual([]);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'several locations are chosen and taken out at once, after one look at what that changes',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/configuration/locations`);
    // The heaviest first, by the weights that the gateway itself reckons.
    await page.locator('.tbody .tr', { hasText: '520' }).waitFor();
    expect(await page.locator('.tbody .tr .cell-name').allInnerTexts()).toEqual(['chat', 'api', 'files']);
    await page.getByLabel('Find in locations').fill('files');
    await sees(async () => (await page.locator('.tbody .tr').count()) === 1);
    await page.getByLabel('Find in locations').fill('');
    await page.getByLabel('Choose files').check();
    await page.getByLabel('Choose chat').check();
    await page.getByRole('button', { name: 'Take out of all servers' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.locator('.diff-added', { hasText: 'locations = [ "api" ]' }).waitFor();
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await dialog.waitFor({ state: 'detached' });
    await sees(async () => (await page.locator('.tbody .badge-warn', { hasText: 'nothing' }).count()) === 2);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a thousand locations are a few dozen rows in the document, and each of them can be found',
  async () => {
    const names = Array.from({ length: 1_000 }, (_, i) => `loc-${i}`);
    const text = `[servers.web]\naddr = "127.0.0.1:1"\nlocations = ${JSON.stringify(names)}\n${names.map((name, i) => `[locations.${name}]\nupstream = "u"\npath = "/p${i}"\n`).join('')}[upstreams.u]\naddrs = ["127.0.0.1:1"]\n`;
    const considered = names.map((location, i) => ({ location, weight: 1_000 + i, matches: false, reason: 'path does not begin so' }));
    const mock = await pages.mock({
      routes: {
        'GET /config': () => configInfo(text),
        'POST /routing/test': () => ({
          tests: [
            {
              server: 'web',
              location: null,
              status: 404,
              refusal: 'none takes it',
              captures: {},
              upstream: '',
              target: '/',
              plugins: [],
              considered,
            },
          ],
        }),
      },
    });
    const page = await pages.open(`${mock.url}#/configuration/locations`);
    await page.locator('.tbody .tr', { hasText: 'loc-999' }).waitFor();
    expect(await page.locator('.tbody .tr').count()).toBeLessThan(80);
    await page.getByLabel('Find in locations').fill('/p517');
    await sees(async () => (await page.locator('.tbody .tr .cell-name').allInnerTexts()).join() === 'loc-517');
    await go(page, 'configuration/servers/web');
    await page.getByRole('button', { name: 'Show 940 more' }).waitFor();
    expect(await page.locator('.sortable-row').count()).toBe(60);
    await go(page, 'routing?url=%2Fx');
    await page.getByRole('button', { name: 'Show 960 more' }).click();
    await sees(async () => (await page.locator('.considered-row').count()) === 1_000);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a token is made, shown once and revoked; lines of the log come by themselves and are held, filtered and searched',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/settings`);
    await page.getByRole('button', { name: 'New token' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByLabel('Name').fill('deploy');
    await dialog.getByLabel('Role').selectOption('operate');
    await dialog.getByRole('button', { name: 'Create' }).click();
    await dialog.getByText('wlt_5up3r53cr3t70k3n', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    expect(await dialog.isVisible()).toBe(true);
    await dialog.getByRole('button', { name: 'Close' }).last().click();
    await page.locator('.tr', { hasText: 'deploy' }).getByText('operate').first().waitFor();
    expect(await page.content()).not.toContain('wlt_');
    await page.getByRole('button', { name: 'Revoke: deploy' }).click();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('No token yet').waitFor();
    await page.getByRole('switch', { name: 'Keep exchanges' }).click();
    await sees(() => !mock.world.settings.enabled);

    await go(page, 'logs');
    const lines = page.locator('.log-line');
    await lines.first().waitFor();
    const before = await lines.count();
    await sees(async () => (await lines.count()) > before);
    await page.keyboard.press('p');
    await page.getByRole('button', { name: /^Go on/ }).waitFor();
    const held = await lines.count();
    await page.locator('.badge', { hasText: 'new' }).waitFor();
    expect(await lines.count()).toBe(held);
    await page.keyboard.press('p');
    await sees(async () => (await lines.count()) > held);
    await page.getByRole('button', { name: 'Errors' }).click();
    await sees(async () => (await lines.count()) > 0 && (await page.locator('.log-line:not(.log-error)').count()) === 0);
    await page.getByLabel('Find in messages and fields').fill('agent-5');
    await sees(async () => {
      const texts = await lines.allInnerTexts();
      return texts.length > 0 && texts.every((text) => text.includes('agent-5'));
    });
    await page.locator('.log mark').first().waitFor();
  },
  TIMEOUT_MS,
);
