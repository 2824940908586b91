// The forms of the configuration in a real browser: made of the real schema, filled with every key there is. Needs Chromium.
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import type { ConfigChange, ConfigInfo } from '../../src/admin/model.ts';
import { formSchema } from '../../src/config/form-schema.ts';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';
import { configInfo, pingapText } from '../kit/every-key.ts';

const pages = consolePages();
const SECTIONS = formSchema();

/** A page over a configuration of this text. What the forms would save is kept. */
async function over(info: ConfigInfo): Promise<{ page: Page; asked: (readonly ConfigChange[])[] }> {
  const asked: (readonly ConfigChange[])[] = [];
  const mock = await pages.mock({
    tickMs: 60_000,
    routes: {
      'GET /config': () => info,
      'GET /config/schema': () => ({ sections: SECTIONS }),
      'POST /config/check': ({ body }) => {
        asked.push((body as { changes: readonly ConfigChange[] }).changes);
        return { ok: true, problems: [], diff: '', etag: 'e1' };
      },
    },
  });
  const page = await pages.open(`${mock.url}#/configuration`);
  await page.getByRole('heading', { name: 'Configuration', level: 1 }).waitFor();
  return { page, asked };
}

/** Changes one key in the form of an item, and tells what would be saved of it. */
async function saves(page: Page, asked: (readonly ConfigChange[])[], section: string, name: string, key: string, text: string): Promise<unknown> {
  await page.evaluate((hash) => (location.hash = hash), `#/configuration/${section}${name === '' ? '' : `/${encodeURIComponent(name)}`}`);
  await page.locator('.config-title', { hasText: name === '' ? /./ : name }).waitFor();
  const field = page.locator(`[data-key="${key}"]`);
  if (!(await field.isVisible())) await page.getByLabel('Find a setting').fill(key);
  await field.getByRole('textbox').first().fill(text);
  const before = asked.length;
  await page.getByRole('button', { name: 'Review and save' }).click();
  await sees(() => asked.length > before);
  await page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Discard' }).click();
  const [change] = asked.at(-1)!;
  return change;
}

/** A key with a line of text, that every item of a section may have. */
const TOUCHED: Record<string, string> = { basic: 'name', agents: 'hub_id' };

test.runIf(hasBrowser).each([
  ["a file with every key of Pingap's", () => pingapText('today')],
  ["a file with every option of Pingap's plugins", () => pingapText('today-plugins')],
])(
  'every form gives back %s, but for what was changed',
  async (_title, text) => {
    const info = configInfo(text());
    const { page, asked } = await over(info);
    let keys = 0;
    for (const { section, named } of SECTIONS)
      for (const { name, values } of info.sections[section]!) {
        if (!named && Object.keys(values).length === 0) continue;
        const key = TOUCHED[section] ?? 'remark';
        const change = await saves(page, asked, section, name, key, 'touched by the form');
        expect(change, `${section}.${name}`).toEqual({ section, name, values: { ...values, [key]: 'touched by the form' } });
        keys += Object.keys(values).length;
      }
    expect(keys).toBeGreaterThan(10);
  },
  TIMEOUT_MS * 3,
);

test.runIf(hasBrowser)(
  'every key of an item has a field, also those that no form knows',
  async () => {
    const info = configInfo(
      `${pingapText('today')}\n[plugins.mine]\nmodule = "./mine.js"\nfirst = [1, { a = "b" }]\nsecond = { x = { y = 1 } }\nthird = true\n`,
    );
    const { page, asked } = await over(info);
    for (const [section, name] of [
      ['servers', 'web'],
      ['locations', 'api'],
      ['upstreams', 'api'],
      ['plugins', 'mine'],
    ] as const) {
      await page.evaluate((hash) => (location.hash = hash), `#/configuration/${section}/${name}`);
      await page.locator('.config-title', { hasText: name }).waitFor();
      await page.locator('.item-about').waitFor();
      const { values } = info.sections[section]!.find((item) => item.name === name)!;
      const shown = await page.locator('.item-form').evaluate((form) => {
        for (const head of form.querySelectorAll<HTMLElement>('button.form-group-head[aria-expanded=false]')) head.click();
        return new Promise<string[]>((resolve) =>
          requestAnimationFrame(() =>
            requestAnimationFrame(() => resolve([...form.querySelectorAll('.setting-key')].map((one) => one.textContent!))),
          ),
        );
      });
      expect(shown, name).toEqual(expect.arrayContaining(Object.keys(values)));
    }
    // What has no form of its own is changed as JSON.
    await page.locator('[data-key=second] textarea').fill('{"x":{"y":2}}');
    await page.getByRole('button', { name: 'Review and save' }).click();
    await sees(() => asked.length > 0);
    expect(asked.at(-1)).toEqual([
      { section: 'plugins', name: 'mine', values: { module: './mine.js', first: [1, { a: 'b' }], second: { x: { y: 2 } }, third: true } },
    ]);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'each kind of input writes what the file wants',
  async () => {
    const info = configInfo(`
[servers.web]
addr = ["127.0.0.1:1"]
locations = ["a", "b", "c"]
[locations.a]
upstream = "u"
[locations.b]
[locations.c]
[upstreams.u]
addrs = ["127.0.0.1:1 5"]
[plugins.apps]
category = "combined_auth"
authorizations = [{ app_id = "one", secret = "********", deviation = 60 }]
[agents]
secret = "********"
`);
    const { page, asked } = await over(info);
    const go = async (place: string): Promise<void> => {
      await page.evaluate((hash) => (location.hash = hash), `#/configuration/${place}`);
      await page.locator('.item-form').waitFor();
    };
    const field = (key: string) => page.locator(`[data-key="${key}"]`);
    const open = async (key: string): Promise<void> => {
      await page.getByLabel('Find a setting').fill(key);
      await field(key).waitFor();
    };
    const saved = async (): Promise<Record<string, unknown>> => {
      await page.getByLabel('Find a setting').fill('');
      const before = asked.length;
      await page.getByRole('button', { name: 'Review and save' }).click();
      await sees(() => asked.length > before);
      await page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Discard' }).click();
      return (asked.at(-1)![0] as { values: Record<string, unknown> }).values;
    };

    await go('servers/web');
    await page.locator('.config-title', { hasText: 'web' }).waitFor();
    await open('max_body');
    await field('max_body').getByRole('textbox').fill('10');
    await field('max_body').getByRole('combobox').selectOption('MiB');
    await open('head_timeout');
    await field('head_timeout').getByRole('textbox').fill('1h30m');
    await open('self_signed');
    await field('self_signed').getByRole('switch').click();
    await open('tls_min_version');
    await field('tls_min_version').getByRole('combobox').selectOption('=tlsv1.3');
    await open('no_match_status');
    await field('no_match_status').getByRole('textbox').fill('999');
    await field('no_match_status').getByText('Is too large. From 400 to 599.').waitFor();
    expect(await page.getByRole('button', { name: 'Review and save' }).isDisabled()).toBe(true);
    await field('no_match_status').getByRole('textbox').fill('410');
    await open('error_templates');
    await field('error_templates').getByRole('button', { name: 'Add to error_templates' }).click();
    await field('error_templates').getByLabel('error_templates 1: Name').fill('404');
    await field('error_templates').getByLabel('error_templates 1: Value').fill('<p>\n</p>');
    // The order: by the keyboard, and by buttons.
    await open('locations');
    await field('locations').getByRole('button', { name: /^c: / }).focus();
    await page.keyboard.press('Alt+ArrowUp');
    await page.keyboard.press('Alt+ArrowUp');
    await field('locations').getByText('c is now 1 of 3').waitFor({ state: 'attached' });
    await field('locations').getByRole('button', { name: 'Move a down' }).click();
    // And by the mouse.
    await field('locations').getByRole('button', { name: /^b: / }).dragTo(field('locations').locator('.sortable-row').nth(2));
    expect(await saved()).toEqual({
      addr: ['127.0.0.1:1'],
      locations: ['c', 'a', 'b'],
      max_body: '10MiB',
      head_timeout: '1h30m',
      self_signed: true,
      tls_min_version: 'tlsv1.3',
      no_match_status: 410,
      error_templates: { '404': '<p>\n</p>' },
    });

    await go('upstreams/u');
    await page.locator('.config-title', { hasText: 'u' }).waitFor();
    await field('addrs')
      .getByRole('button', { name: /^Add an address/ })
      .click();
    await field('addrs').getByLabel('Address 2').fill('127.0.0.1:2');
    await field('addrs').getByRole('button', { name: 'Priority, backup, load' }).click();
    await field('addrs').getByLabel('Backup 2').check();
    expect(await saved()).toEqual({ addrs: ['127.0.0.1:1 5', { addr: '127.0.0.1:2', backup: true }] });

    await go('plugins/apps');
    await page.locator('.config-title', { hasText: 'apps' }).waitFor();
    await field('authorizations').getByLabel('app_id').fill('renamed');
    await field('authorizations').getByRole('button', { name: 'Add an entry: authorizations' }).click();
    await field('authorizations').getByLabel('app_id').nth(1).fill('two');
    await field('authorizations')
      .getByLabel(/^secret/)
      .last()
      .fill('a new secret of thirty-two letters');
    expect(await saved()).toEqual({
      category: 'combined_auth',
      authorizations: [
        { app_id: 'renamed', secret: '********', deviation: 60 },
        { app_id: 'two', secret: 'a new secret of thirty-two letters' },
      ],
    });

    await go('agents');
    await page.locator('.config-title', { hasText: 'Agents' }).waitFor();
    await field('secret').getByText('Set, not shown').waitFor();
    await picture(page, 'configuration-secret');
    await field('secret').getByRole('button', { name: 'Replace' }).click();
    expect(await page.getByRole('button', { name: 'Review and save' }).isDisabled()).toBe(true);
    await field('secret').locator('input').fill('another');
    expect(await field('secret').locator('input').getAttribute('type')).toBe('password');
    expect(await saved()).toEqual({ secret: 'another' });
  },
  TIMEOUT_MS,
);
