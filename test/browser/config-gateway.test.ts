// The configuration in a real browser and over a real gateway: forms, text, merge, history. Needs Chromium.
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import type { ConfigInfo } from '../../src/admin/model.ts';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';
import { everyKeyText } from '../kit/every-key.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';

const tools = kit();
const pages = consolePages();

/** A gateway with an origin, a page that has come in by its link, and somebody else who may do the same by the API. */
async function start(
  basic = '',
): Promise<{ gateway: TestGateway; page: Page; other: Operator; text: () => string; get: (path: string) => Promise<string> }> {
  const origin = await tools.startOrigin((request, response) => response.end(`one has ${request.url}`));
  const stateDir = tools.folder();
  const gateway = await startGatewayOf(
    tools,
    `${basic}# The gateway of the test.
[servers.main] # the only one
addr = "127.0.0.1:0"
locations = ["all", "api"]

# Everything else goes there.
[locations.all]
upstream = "one"

[locations.api]
upstream = "one"
path = "/api"
plugins = ["door"]
remark = "the API"

[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]

[plugins.door]
category = "key_auth"
header = "X-Key"
keys = ["canary-key"]
`,
    { stateDir },
  );
  // Chromium itself gives what is typed over coloured text the colour as an inline style, which the policy refuses; the editor draws the line anew anyway.
  const page = await pages.open(gateway.consoleLink()!, { mayComplain: /status of (?:412|422)|^Applying inline style violates/ });
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  return {
    gateway,
    page,
    other: new Operator(gateway, stateDir),
    text: () => readFileSync(gateway.file, 'utf8'),
    get: async (path) => (await fetch(`http://127.0.0.1:${gateway.port()}${path}`)).text(),
  };
}

async function go(page: Page, place: string): Promise<void> {
  await page.evaluate((hash) => (location.hash = hash), `#/${place}`);
}

async function review(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Review and save' }).click();
  await page.locator('dialog[open]').getByText('The gateway can use it.').waitFor();
}

async function save(page: Page): Promise<void> {
  await review(page);
  await page.locator('dialog[open]').getByRole('button', { name: 'Save and put to use' }).click();
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
}

test.runIf(hasBrowser)(
  'a location is added, changed, renamed and deleted with the mouse, and the comments of the file stay',
  async () => {
    const { page, text, get } = await start();
    await go(page, 'configuration/locations');
    await page.getByRole('button', { name: 'New location' }).click();
    await page.locator('#item-name').fill('files');
    await page.getByRole('checkbox', { name: /^main/ }).check();
    await page.locator('[data-key=upstream] input').fill('one');
    await page.locator('[data-key=path] input').fill('/files');
    await page.locator('[data-key=rewrite] input').fill('^/files/(.*)$ /of/$1');
    await save(page);
    await page.locator('.config-title', { hasText: 'files' }).waitFor();
    expect(await get('/files/x')).toBe('one has /of/x');
    expect(text()).toContain('# The gateway of the test.\n[servers.main] # the only one\n');
    expect(text()).toContain('# Everything else goes there.\n[locations.all]');
    // Saved and shown: nothing is left to save.
    expect(await page.getByRole('button', { name: 'Review and save' }).count()).toBe(0);

    await page.getByRole('button', { name: 'Actions for files' }).click();
    await page.getByRole('menuitem', { name: 'Rename' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByLabel('Name').fill('api');
    await dialog.getByText('There is a api already.').waitFor();
    await dialog.getByLabel('Name').fill('papers');
    await dialog.getByRole('button', { name: 'Rename' }).click();
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await page.locator('.config-title', { hasText: 'papers' }).waitFor();
    expect(text()).toContain('locations = ["all", "api", "papers"]');
    expect(await get('/files/y')).toBe('one has /of/y');

    // Who is needed is told before, and by whom.
    await page.getByRole('button', { name: 'Actions for papers' }).click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await dialog.getByText('servers.main refer to it').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('checkbox', { name: /^main/ }).uncheck();
    await save(page);
    expect(await get('/files/z')).toBe('one has /files/z');
    await page.getByRole('button', { name: 'Actions for papers' }).click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await dialog.getByText('Nothing refers to it').waitFor();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await page.locator('.config-title', { hasText: 'Locations' }).waitFor();
    expect(text()).not.toContain('papers');
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a text that is broken shows the line and cannot be saved; mended it is saved, and the version before is restored',
  async () => {
    const { page, text, get } = await start();
    const before = text();
    await go(page, 'configuration/files');
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+End');
    await page.keyboard.type('[locations.extra]\nupstream = "one"\npath "/extra"\n');
    await page.locator('.cm-lint-marker-error').waitFor();
    const line = text().split('\n').length + 2;
    const place = page.locator('.toml-problems .problem-place', { hasText: `line ${line}` });
    await place.waitFor();
    await picture(page, 'toml-broken');
    await page.getByRole('button', { name: 'Review and save' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('It cannot be used so. Nothing was written.').waitFor();
    expect(await dialog.getByRole('button', { name: 'Save and put to use' }).isDisabled()).toBe(true);
    // The problem leads to its line.
    await dialog.locator('.problem-place').first().click();
    expect(await page.locator('.cm-activeLine').innerText()).toBe('path "/extra"');
    expect(text()).toBe(before);
    await page.keyboard.press('End');
    await page.keyboard.press('Shift+Home');
    // What may stand there is offered.
    await page.keyboard.type('pa');
    await page.locator('.cm-tooltip-autocomplete').getByText('path', { exact: true }).waitFor();
    await page.keyboard.press('Enter');
    await page.keyboard.type('/extra');
    await sees(async () => (await page.locator('.cm-activeLine').innerText()) === 'path = "/extra"');
    // It is in no server yet.
    await page.locator('.cm-line', { hasText: 'locations = ' }).click();
    await page.keyboard.press('Home');
    await page.keyboard.press('Shift+End');
    await page.keyboard.type('locations = ["all", "api", "extra');
    await page.locator('.cm-lint-marker-error').waitFor({ state: 'detached' });
    await picture(page, 'toml-good');
    await page.keyboard.press('Control+s');
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByLabel('Note for the history').fill('one more');
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(text()).toContain('[locations.extra]\nupstream = "one"\npath = "/extra"\n');
    expect(await get('/extra')).toBe('one has /extra');

    await go(page, 'configuration/history');
    await page.locator('.version', { hasText: 'one more' }).waitFor();
    await page.locator('.version').nth(1).click();
    await dialog.getByRole('tab', { name: 'What restoring would change' }).click();
    await dialog.locator('.diff-removed', { hasText: '[locations.extra]' }).waitFor();
    await picture(page, 'history-version');
    await dialog.getByRole('button', { name: 'Restore' }).click();
    await page.locator('dialog[open]', { hasText: 'Restore this version?' }).getByRole('button', { name: 'Restore' }).click();
    await sees(() => text() === before);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'somebody else has saved meanwhile: the form and the text put both together, and nothing is lost',
  async () => {
    const { page, other, text } = await start();
    const elsewhere = async (values: (before: Record<string, unknown>) => Record<string, unknown>): Promise<void> => {
      const { etag, sections } = await other.get<ConfigInfo>('/config');
      const api = sections['locations']!.find(({ name }) => name === 'api')!;
      const changes = [{ section: 'locations', name: 'api', values: values(api.values) }];
      expect((await other.ask('POST', '/config/apply', { changes }, etag)).status).toBe(200);
    };
    await go(page, 'configuration/locations/api');
    await page.locator('[data-key=remark] input').fill('as I say');
    await page.getByLabel('Find a setting').fill('timeout');
    await page.locator('[data-key=timeout] input').fill('45');
    await elsewhere((before) => ({ ...before, remark: 'as they say', path: '/api/v2' }));
    await page.getByText('Somebody else has changed the configuration meanwhile').waitFor();
    await review(page);
    const dialog = page.locator('dialog[open]');
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await dialog.getByText('Somebody else has saved meanwhile').waitFor();
    await picture(page, 'merge-item');
    expect(text()).toContain('remark = "as they say"');
    await dialog.getByRole('button', { name: 'Theirs' }).click();
    await dialog.getByRole('button', { name: 'Go on with this' }).click();
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(text()).toContain('[locations.api]\nupstream = "one"\npath = "/api/v2"\nplugins = ["door"]\nremark = "as they say"\ntimeout = "45s"\n');

    await go(page, 'configuration/files');
    await page.locator('.cm-content').click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.type('# By me.\n');
    await elsewhere((before) => ({ ...before, remark: 'theirs again' }));
    await page.keyboard.press('Control+s');
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await dialog.getByText('Somebody else has saved meanwhile').waitFor();
    await picture(page, 'merge-text');
    await dialog.getByRole('button', { name: 'Go on with this' }).click();
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(text()).toMatch(/^# By me\.\n/);
    expect(text()).toContain('remark = "theirs again"');
    expect(text()).toContain('keys = ["canary-key"]');
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'every form over a file with every key changes the one line that was changed, and no secret is on any page',
  async () => {
    const { page, gateway, other } = await start('[basic]\nadmin_addr = "127.0.0.1:0"\ndrain_timeout = "1s"\n');
    // It cannot be used, and is looked at and mended all the same.
    await gateway.change(
      everyKeyText()
        .replaceAll('"hub.secret"', '"planted-one"')
        .replaceAll(/^(password|keys|key|secret) = .*$/gm, '$1 = "planted-two"'),
    );
    await go(page, 'configuration');
    await page.getByText('The files cannot be used.').waitFor();
    await picture(page, 'configuration-broken');
    const { sections } = await other.get<ConfigInfo>('/config');
    const items = Object.entries(sections).flatMap(([section, all]) => all.map(({ name, values }) => ({ section, name, values })));
    expect(items.length).toBeGreaterThan(35);
    for (const { section, name, values } of items) {
      if (name === '' && Object.keys(values).length === 0) continue;
      await go(page, `configuration/${section}${name === '' ? '' : `/${encodeURIComponent(name)}`}`);
      await page.locator('.item-about').waitFor();
      await sees(async () => (await page.locator('.config-title').innerText()).toLowerCase().startsWith(name === '' ? section : name));
      const key = { basic: 'name', agents: 'hub_id' }[section] ?? 'remark';
      const field = page.locator(`[data-key="${key}"]`);
      if (!(await field.isVisible())) await page.getByLabel('Find a setting').fill(key);
      await field.getByRole('textbox').first().fill('touched by the form');
      expect(await page.content(), `${section}.${name}`).not.toContain('planted-');
      await page.getByRole('button', { name: 'Review and save' }).click();
      await page.locator('dialog[open] .diff').waitFor();
      const added = await page.locator('dialog[open] .diff-added .diff-text').allInnerTexts();
      const removed = await page.locator('dialog[open] .diff-removed .diff-text').allInnerTexts();
      expect(added, `${section}.${name}`).toEqual([`${key} = "touched by the form"`]);
      expect(removed.length, `${section}.${name}`).toBe(values[key] === undefined ? 0 : 1);
      await page.locator('dialog[open]').getByRole('button', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Discard' }).click();
    }
  },
  TIMEOUT_MS * 3,
);
