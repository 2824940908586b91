// What holds on every page of the console: who comes in, what hostile data does, what a server does that is away or broken, keys, languages, weight. Needs Chromium.
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';

const pages = consolePages();
const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name });

test.runIf(hasBrowser)(
  'the ticket of a link lets in and is gone from the address bar and its history; one that is used up says what to do',
  async () => {
    const mock = await pages.mock({ loggedIn: false });
    const page = await pages.open(`${mock.url}#ticket=good`);
    await heading(page, 'Overview').waitFor();
    expect(page.url()).not.toContain('ticket');
    await page.goto(`${mock.url}#/agents`);
    await page.goBack();
    expect(page.url()).not.toContain('ticket');
    expect(mock.requests.filter((line) => line.includes('good'))).toEqual([]);
    // By the cookie from now on.
    await page.reload();
    await heading(page, 'Overview').waitFor();
    await page.getByRole('button', { name: 'Account' }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await page.goto('about:blank');
    await page.goto(`${mock.url}#ticket=old`);
    await page.getByText('make another with').waitFor();
    expect(page.url()).not.toContain('ticket');
    await picture(page, 'login');
    await page.emulateMedia({ colorScheme: 'dark' });
    await picture(page, 'login-dark');
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a password lets in, a wrong one does not and is not kept, and who must log in anew goes on where they were',
  async () => {
    const mock = await pages.mock({ loggedIn: false });
    const page = await pages.open(`${mock.url}#/queue`);
    await page.getByLabel('User').fill('alice');
    await page.getByLabel('Password').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('User or password is wrong.').waitFor();
    expect(await page.getByLabel('Password').inputValue()).toBe('');
    await page.getByLabel('Password').fill('open');
    await page.keyboard.press('Enter');
    await heading(page, 'Queue').waitFor();
    mock.forget();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    await page.getByLabel('User').fill('alice');
    await page.getByLabel('Password').fill('open');
    await page.keyboard.press('Enter');
    await heading(page, 'Queue').waitFor();
    expect(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]))).not.toMatch(/open|csrf/);
  },
  TIMEOUT_MS,
);

const PAYLOADS = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '<svg onload=alert(1)>',
  'javascript:alert(1)',
  '{{constructor.constructor("alert(1)")()}}',
  '<a href="javascript:alert(1)">x</a>',
  "' onmouseover='alert(1)",
  '<style>*{display:none}</style>',
  '\u202Egnp.exe\u0000\u001b[31m<b>bold</b>',
  '__proto__',
];

test.runIf(hasBrowser)(
  'names, labels, paths, headers and reasons of others are text and nothing else, on every screen [threat 68]',
  async () => {
    const hostile = PAYLOADS.join(' ');
    const mock = await pages.mock({
      agents: 12,
      hostile,
      routes: {
        'GET /traffic/{id}': ({ parameters, world }) => ({
          ...world.traffic.find(({ id }) => id === parameters['id']),
          client: hostile,
          host: hostile,
          method: hostile,
          failure: hostile,
          failureDetail: hostile,
          location: hostile,
          upstream: hostile,
          endpoint: hostile,
          spans: [{ name: 'hub', startMs: 0, ms: 1, detail: hostile }],
          requestHeaders: PAYLOADS.map((text) => [text, text]),
          sentHeaders: PAYLOADS.map((text) => [text, text]),
          replyHeaders: PAYLOADS.map((text) => [text, text]),
          tries: PAYLOADS,
          replay: { possible: false, why: hostile },
          curl: hostile,
        }),
        'GET /upstreams': () => ({
          total: 1,
          items: [
            {
              name: hostile,
              of: 'addresses',
              algorithm: hostile,
              locations: PAYLOADS,
              inFlight: 0,
              waiting: 0,
              agents: null,
              endpoints: PAYLOADS.map((id) => ({
                id,
                host: id,
                weight: 1,
                priority: 0,
                condition: 'unhealthy',
                inFlight: 0,
                usable: false,
                requests: 1,
                failures: 1,
                check: { healthy: false, reason: id },
                load: null,
              })),
            },
          ],
        }),
        'GET /topology': () => ({
          nodes: PAYLOADS.map((text, i) => ({ id: `location:${text}${i}`, kind: 'location', label: text, detail: text, state: 'well', count: 1 })),
          edges: [],
        }),
        'GET /info': () => ({
          version: hostile,
          node: hostile,
          pid: 1,
          hostname: hostile,
          startedAtMs: 0,
          kind: 'gateway',
          name: hostile,
          state: 'serving',
          source: hostile,
          listening: [{ server: hostile, url: hostile }],
        }),
      },
    });
    const page = await pages.open(`${mock.url}#/overview`);
    const elements = (): Promise<string[]> =>
      page.evaluate(() =>
        [
          ...document.querySelectorAll(
            'img, iframe, object, embed, style, script, b, [onerror], [onload], [onmouseover], a[href^="javascript:" i], a:not([href^="#"])',
          ),
        ]
          .map((element) => element.outerHTML)
          // Those that the page itself is made of.
          .filter((html) => !/^<script (?:src="\.\/theme\.js"|type="module" crossorigin="" src="\.\/assets\/)/.test(html)),
      );
    await page.locator('.node').first().waitFor();
    expect(await elements()).toEqual([]);
    const open = async (hash: string, where: string, text: string): Promise<void> => {
      await page.goto(`${mock.url}#/${hash}`);
      await page.locator(where).getByText(text).first().waitFor();
      expect([hash, await elements()]).toEqual([hash, []]);
    };
    await open('agents', '[aria-label="Agents"]', PAYLOADS[0]!);
    await open(`agents/${mock.world.agents[0]!.id}`, 'dialog[open]', PAYLOADS[1]!);
    await open('queue', '[aria-label="Queue"]', PAYLOADS[0]!);
    await open('upstreams', '.upstream', PAYLOADS[2]!);
    await open('traffic', '[aria-label="Traffic"]', PAYLOADS[0]!);
    await open(`traffic/${mock.world.traffic[0]!.id}`, 'dialog[open]', PAYLOADS[5]!);
    await page.locator('dialog[open]').getByText('Headers as sent on').click();
    expect(await elements()).toEqual([]);
    await page.keyboard.press('Escape');
    // What stands in the address is no better than what the server says.
    await page.goto(
      `${mock.url}#/agents?query=${encodeURIComponent(hostile)}&sort=${encodeURIComponent(hostile)}&state=${encodeURIComponent(hostile)}`,
    );
    await heading(page, 'Agents').waitFor();
    await page.goto(`${mock.url}#/${encodeURIComponent(hostile)}/${encodeURIComponent(hostile)}`);
    await page.getByText('There is no such screen').waitFor();
    expect(await elements()).toEqual([]);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'without a server the page stays as it was, says so, undoes nothing silently, and goes on by itself when it is back',
  async () => {
    const first = await pages.mock({ tickMs: 200 });
    const page = await pages.open(`${first.url}#/agents`, { mayComplain: /Failed to load resource|ERR_/ });
    await page.locator('.tbody .tr:not(.tr-waiting)').first().waitFor();
    const rows = await page.locator('.tbody .tr').count();
    await first.close();
    await page.locator('.banner').waitFor();
    await picture(page, 'away');
    expect(await page.locator('.tbody .tr').count()).toBe(rows);
    await page.locator('.tbody .tr').first().click();
    await page.locator('dialog[open]').getByText('The server does not answer').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Register an agent' }).click();
    await page.locator('dialog[open]').getByLabel('Name').fill('x');
    await page.locator('dialog[open]').getByRole('button', { name: 'Make the token' }).click();
    await page.locator('.toast', { hasText: 'Nothing was done' }).waitFor();
    await page.keyboard.press('Escape');
    // Screens whose code has come already still open.
    await page.evaluate(() => (location.hash = '#/agents?state=away'));
    const second = await pages.mock({ port: first.port, tickMs: 200 });
    await page.locator('.banner').waitFor({ state: 'detached' });
    await sees(() => second.requests.some((line) => line.startsWith('GET /api/v1/agents?')));
    await page.locator('.link-live').waitFor();
  },
  TIMEOUT_MS,
);

const refused = (message: string, more: object): Promise<never> => Promise.reject(Object.assign(new Error(message), more));
const ANSWERS: Readonly<Record<string, () => unknown>> = {
  'an error page of something in between': () => refused('<html>Bad Gateway</html>', { status: 500 }),
  'a refusal': () => refused('the store is broken; look at its disk', { status: 507, code: 'disk_full' }),
  'JSON of another shape': () => ({ items: null, unexpected: true }),
  null: () => null,
};

test.runIf(hasBrowser).each(Object.keys(ANSWERS))(
  'a server that answers everything with %s fails one screen and not the page',
  async (what) => {
    const paths = ['overview', 'topology', 'agents', 'queue', 'upstreams', 'traffic', 'traffic/settings', 'info'];
    const mock = await pages.mock({ routes: Object.fromEntries(paths.map((path) => [`GET /${path}`, ANSWERS[what]!])) });
    const page = await pages.open(`${mock.url}#/overview`, { mayComplain: /./ });
    for (const name of ['Overview', 'Agents', 'Queue', 'Upstreams', 'Traffic']) {
      await page.getByRole('link', { name, exact: true }).first().click();
      await sees(async () => (await page.locator('main').innerText()).trim() !== '');
      // The way to everything else is still there.
      expect([what, name, await page.getByRole('navigation').isVisible(), await page.getByRole('banner').isVisible()]).toEqual([
        what,
        name,
        true,
        true,
      ]);
    }
    if (what === 'a refusal') await page.getByText('the store is broken; look at its disk').first().waitFor();
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'everything can be reached with the keyboard, dialogs keep the focus and give it back',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/overview`);
    await heading(page, 'Overview').waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.className)).toBe('skip');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('content');
    for (const [letter, name] of [
      ['a', 'Agents'],
      ['q', 'Queue'],
      ['u', 'Upstreams'],
      ['t', 'Traffic'],
      ['o', 'Overview'],
    ]) {
      await page.keyboard.press('g');
      await page.keyboard.press(letter!);
      await heading(page, name!).waitFor();
    }
    await page.keyboard.press('?');
    await page.locator('dialog[open]').getByText('Everywhere').waitFor();
    await picture(page, 'keys');
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab');
      // Outside is only the browser itself, which the page sees as its body.
      expect(await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog') !== null)).toBe(true);
    }
    await page.keyboard.press('Escape');
    await page.locator('dialog[open]').waitFor({ state: 'detached' });
    await page.keyboard.press('/');
    await page.getByRole('combobox').waitFor();
    await page.keyboard.type('falcon');
    await page
      .getByRole('option', { name: /falcon/ })
      .first()
      .waitFor();
    await picture(page, 'palette');
    await page.keyboard.press('Enter');
    await page.locator('dialog[open]').getByRole('tab', { name: 'About' }).waitFor();
    await page.keyboard.press('Escape');
    const search = page.getByRole('button', { name: 'Search or jump to …' });
    await search.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('combobox').waitFor();
    await page.keyboard.press('Escape');
    await sees(async () => search.evaluate((element): boolean => element === document.activeElement));
    // Letters that are typed into a field are letters.
    await page.goto(`${mock.url}#/agents`);
    await page.getByLabel('Name, id or label').fill('');
    await page.getByLabel('Name, id or label').pressSequentially('gq?/d');
    expect(await page.getByLabel('Name, id or label').inputValue()).toBe('gq?/d');
    await heading(page, 'Agents').waitFor();
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'language and theme are switched at once, remembered, and told to the browser',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open(`${mock.url}#/overview`);
    await heading(page, 'Overview').waitFor();
    await page.getByRole('button', { name: 'Language' }).click();
    await page.getByRole('menuitemradio', { name: '中文' }).click();
    await heading(page, '概览').waitFor();
    expect(await page.evaluate(() => document.documentElement.lang)).toBe('zh-CN');
    await page.keyboard.press('d');
    await sees(() => page.evaluate(() => getComputedStyle(document.body).backgroundColor === 'rgb(13, 17, 22)'));
    await page.reload();
    await heading(page, '概览').waitFor();
    expect(await page.evaluate(() => [document.documentElement.dataset['theme'], getComputedStyle(document.body).backgroundColor])).toEqual([
      'dark',
      'rgb(13, 17, 22)',
    ]);
    for (const [screen, name] of [
      ['agents', '代理端'],
      ['queue', '队列'],
      ['upstreams', '上游'],
      ['traffic', '流量'],
    ]) {
      await page.goto(`${mock.url}#/${screen}`);
      await heading(page, name!).waitFor();
    }
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'below another path the page, its files, its API and its cookie are below that path, too',
  async () => {
    const mock = await pages.mock({ under: '/ops/console/', loggedIn: false });
    const page = await pages.open(`${mock.url}#ticket=good`);
    await page.locator('.node').first().waitFor();
    await page.getByRole('link', { name: 'Agents', exact: true }).click();
    await page.locator('.tbody .tr:not(.tr-waiting)').first().waitFor();
    expect(page.url()).toBe(`${mock.url}#/agents`);
    expect(
      await page.evaluate(() =>
        performance
          .getEntriesByType('resource')
          .filter(({ name }) => !new URL(name).pathname.startsWith('/ops/console/'))
          .map(({ name }) => name),
      ),
    ).toEqual([]);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'who may only look sees no button that would be refused',
  async () => {
    const mock = await pages.mock({ role: 'read', agents: 4 });
    const page = await pages.open(`${mock.url}#/agents`);
    await page.locator('.tbody .tr:not(.tr-waiting)').first().waitFor();
    expect(await page.getByRole('button', { name: 'Register an agent' }).isDisabled()).toBe(true);
    await page.locator('.tbody .tr').first().click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByRole('tab', { name: 'About' }).waitFor();
    expect(await dialog.getByRole('button', { name: /Revoke|Drain|Resume/ }).count()).toBe(0);
    await page.goto(`${mock.url}#/queue`);
    await page.locator('.tbody .tr:not(.tr-waiting)').first().waitFor();
    expect(await page.getByRole('button', { name: 'Cancel' }).count()).toBe(0);
    await page.goto(`${mock.url}#/upstreams`);
    await page.locator('.upstream').first().waitFor();
    expect(await page.getByRole('button', { name: 'Take out' }).count()).toBe(0);
    expect(mock.requests.filter((line) => !line.startsWith('GET'))).toEqual([]);
  },
  TIMEOUT_MS,
);

/** What a first look at the overview may take, all files together, as they are sent, bytes. */
const FIRST_LOAD_BYTES = 160 * 1024;

test.runIf(hasBrowser)(
  'the first look takes less than 160 KiB, asks nobody else for anything, and nothing jumps',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open('about:blank');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.addInitScript(() => {
      (window as { jumps?: number }).jumps = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
          if (!entry.hadRecentInput) (window as { jumps?: number }).jumps! += entry.value;
        }
      }).observe({ type: 'layout-shift', buffered: true });
    });
    await page.goto(`${mock.url}#/overview`);
    await page.locator('.node').first().waitFor();
    await page.locator('.chart canvas').nth(5).waitFor();
    const sent = await page.evaluate(() =>
      [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .filter(({ name }) => !name.includes('/api/'))
        .map((entry) => [new URL(entry.name).pathname, (entry as PerformanceResourceTiming).encodedBodySize] as const),
    );
    const bytes = sent.reduce((sum, [, size]) => sum + size, 0);
    expect(bytes).toBeGreaterThan(20_000);
    expect([bytes < FIRST_LOAD_BYTES, sent]).toEqual([true, sent]);
    expect(asked.filter((url) => !url.startsWith(mock.url) && !url.startsWith('data:') && url !== 'about:blank')).toEqual([]);
    // What web.dev calls good is 0.1.
    expect(await page.evaluate(() => (window as { jumps?: number }).jumps)).toBeLessThan(0.1);
  },
  TIMEOUT_MS,
);
