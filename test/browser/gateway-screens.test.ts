// Routing, certificates, logs, settings and what the overview says of trouble, in a real browser over a real gateway. Needs Chromium.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { makeCertificate } from '../../src/certs/certificate.ts';
import { LogRing } from '../../src/observe/log-ring.ts';
import { type Log, nullLog } from '../../src/observe/log.ts';
import { consolePages, hasBrowser, picture, sees, TIMEOUT_MS } from '../kit/console-pages.ts';
import { startGatewayOf, type TestGateway } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { Operator } from '../kit/operator.ts';
import { pageFaults } from './page-faults.ts';

const tools = kit();
const pages = consolePages();
const DAY_MS = 86_400_000;
const LONG = 'a'.repeat(120);

/** The paths of a certificate and its key, good until in so many days. */
function pair(name: string, days: number): string {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const folder = tools.folder();
  const now = Date.now();
  const cert = makeCertificate({
    names: [name],
    isAuthority: false,
    key: createPrivateKey(privateKey),
    notBeforeMs: now - 60 * DAY_MS,
    notAfterMs: now + (days + 0.5) * DAY_MS,
    issuer: null,
  });
  writeFileSync(join(folder, 'cert.pem'), cert);
  writeFileSync(join(folder, 'key.pem'), privateKey, { mode: 0o600 });
  return `tls_cert = "${join(folder, 'cert.pem')}"\ntls_key = "${join(folder, 'key.pem')}"`;
}

/** A gateway with what operators meet on a bad day, and a page that has come in by its link. */
async function start(options: Parameters<typeof pages.open>[1] = {}): Promise<{ gateway: TestGateway; page: Page; operator: Operator; log: Log }> {
  const origin = await tools.startOrigin((request, response) => response.writeHead(request.url === '/api/bad' ? 500 : 200).end('one'));
  const stateDir = tools.folder();
  const lines = new LogRing();
  const log = lines.beside({ ...nullLog, level: 'info' });
  const gateway = await startGatewayOf(
    tools,
    `[servers.web]
addr = "127.0.0.1:0"
locations = ["api", "shop", "${LONG}"]

[servers.secure]
addr = "127.0.0.1:0"
locations = ["shop"]
global_certificates = true

[locations.api]
path = "/api"
upstream = "one"
rewrite = '^/api/(.*)$ /api/$1'

[locations.shop]
host = "shop.example.com"
path = '~^/(?P<section>[a-z]+)/items'
upstream = "one"
plugins = ["squeeze"]

[locations.${LONG}]
path = "=/long"
upstream = "one"

[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]

[upstreams.gone]
addrs = ["127.0.0.1:1"]
health_check = "tcp://gone?check_frequency=100ms&failure=1"

[plugins.squeeze]
category = "compression"

[certificates.fine]
${pair('fine.example.com', 300)}
is_default = true

[certificates.soon]
${pair('soon.example.com', 3)}

[certificates.over]
${pair('over.example.com', -3)}

[certificates.${LONG}]
${pair(`${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example.com`, 200)}
`,
    { stateDir, lines, log },
  );
  const page = await pages.open(gateway.consoleLink()!, options);
  await page.locator('main h1').waitFor();
  return { gateway, page, operator: new Operator(gateway, stateDir), log };
}

test.runIf(hasBrowser)(
  'the gateway itself says which location takes a URL and why others do not, what a rewrite makes of a path, and what a log line looks like',
  async () => {
    const { page } = await start();
    await page.getByRole('link', { name: 'Routing', exact: true }).click();
    await page.getByText('Enter a URL, and see which location takes it.').waitFor();
    await page.getByRole('textbox', { name: 'URL' }).fill('http://shop.example.com/books/items/7');
    await page.keyboard.press('Enter');
    const web = page.locator('.card', { has: page.getByRole('link', { name: 'web', exact: true }) });
    await web.getByText('shop takes it').waitFor();
    await web.locator('.considered-not', { hasText: 'does not begin with /api' }).waitFor();
    await web.locator('.label', { hasText: 'section' }).getByText('books').waitFor();
    expect(await page.locator('.considered-taken').count()).toBe(2);
    // As it is in the address, it can be sent to somebody.
    expect(page.url()).toContain('url=http%3A%2F%2Fshop.example.com%2Fbooks%2Fitems%2F7');
    await page.getByLabel('Server').selectOption('secure');
    await page.getByRole('button', { name: 'Test' }).click();
    await sees(async () => (await page.locator('.considered-taken').count()) === 1);
    await page.getByRole('textbox', { name: 'URL' }).fill('/nothing');
    await page.getByRole('button', { name: 'Test' }).click();
    await page.getByText('No location takes it', { exact: true }).waitFor();
    await page.getByText('It is answered here with 404').waitFor();

    await page.getByRole('textbox', { name: 'Rewrite' }).fill('^/v1/(.*)$ /v2/$1');
    await page.getByRole('textbox', { name: 'Path', exact: true }).fill('/v1/users');
    await page.getByText('/v2/users').waitFor();
    await page.getByRole('textbox', { name: 'Rewrite' }).fill('( /x');
    await page.locator('.routing-tools .field-error, .routing-tools [role=alert]').first().waitFor();
    await page.getByRole('textbox', { name: 'Template or style' }).fill('{method} said {status}');
    await page.getByText(/^GET said 200$/).waitFor();
    await picture(page, 'real-routing');
    expect(await pageFaults(page)).toEqual([]);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a certificate that is over and one that ends soon stand first, are told on the overview, and their days are said once',
  async () => {
    const { page } = await start();
    await page.locator('.attention-bad', { hasText: 'The certificate over has expired another one has or will soon' }).click();
    const all = page.locator('.certificate');
    await all.first().waitFor();
    expect((await all.locator('.certificate-name').allInnerTexts()).map((name) => name.slice(0, 16))).toEqual([
      'over.example.com',
      'soon.example.com',
      'aaaaaaaaaaaaaaaa',
      'fine.example.com',
    ]);
    expect(await all.nth(0).innerText()).toContain('expired 3 days ago');
    expect(await all.nth(1).innerText()).toContain('3 days left');
    expect((await all.nth(1).innerText()).match(/days/g)).toHaveLength(1);
    expect((await all.nth(0).innerText()).match(/expired/g)).toHaveLength(1);
    await page.getByRole('button', { name: 'Within 30 days' }).click();
    await sees(async () => (await all.count()) === 2);
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await page.getByLabel('Find a name').fill('fine');
    await sees(async () => (await all.count()) === 1);
    await all.getByRole('button', { name: /fine\.example\.com/ }).click();
    await all.getByRole('link', { name: 'secure' }).waitFor();
    await all.getByText(/^(?:[\dA-F]{2}:){31}[\dA-F]{2}$/).waitFor();
    expect(await page.content()).not.toContain('PRIVATE');
    await page.getByLabel('Find a name').fill('');
    for (const width of [1440, 1024, 768, 390]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await pageFaults(page), String(width)).toEqual([]);
    }
    await picture(page, 'real-certificates');
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'lines of the log come as the gateway writes them, are filtered and held, and a file of them can be had',
  async () => {
    const { page, log } = await start();
    await page.getByRole('link', { name: 'Logs', exact: true }).click();
    const lines = page.locator('.log-line');
    await lines.first().waitFor();
    await page.locator('.log-warn', { hasText: 'fails its health check' }).first().waitFor();
    log.info({ weight: 7, who: '<b>someone</b>' }, 'a line of ours');
    await lines.getByText('a line of ours').waitFor();
    await lines.getByText('<b>someone</b>').waitFor();
    await page.keyboard.press('p');
    await page.getByRole('button', { name: /^Go on/ }).waitFor();
    log.error({}, 'it burns');
    await page.locator('.badge', { hasText: '1 new' }).waitFor();
    expect(await lines.getByText('it burns').count()).toBe(0);
    await page.keyboard.press('p');
    await lines.getByText('it burns').waitFor();
    await page.getByRole('button', { name: 'Errors' }).click();
    await sees(async () => (await lines.allInnerTexts()).every((text) => text.includes('it burns')) && (await lines.count()) === 1);
    await page.getByRole('button', { name: 'All', exact: true }).click();
    await page.getByLabel('Find in messages and fields').fill('of ours');
    await sees(async () => (await lines.count()) === 1);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()]);
    expect(readFileSync(await download.path(), 'utf8')).toContain('a line of ours');
    expect(await pageFaults(page)).toEqual([]);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'a token that the settings have made opens the API as far as its role goes until it is revoked, and the audit log says who did it',
  async () => {
    const { page, gateway, operator } = await start();
    await page.getByRole('link', { name: 'Settings', exact: true }).click();
    await page.getByText('No token yet').waitFor();
    await page.getByRole('button', { name: 'New token' }).click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByLabel('Name').fill('grafana');
    await dialog.getByRole('button', { name: 'Create' }).click();
    const token = await dialog
      .getByText(/^wlt_[\w-]{20,}$/)
      .first()
      .innerText();
    const asked = async (): Promise<number> => {
      const base = `http://127.0.0.1:${gateway.adminAddress!.port}/api/v1`;
      return (await fetch(`${base}/info`, { headers: { Authorization: `Bearer ${token}` } })).status;
    };
    expect(await asked()).toBe(200);
    await dialog.getByRole('button', { name: 'Close' }).last().click();
    await page.getByRole('button', { name: 'Revoke: grafana' }).click();
    await dialog.getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('No token yet').waitFor();
    expect(await asked()).toBe(401);
    await page.locator('.audit-what', { hasText: '/tokens' }).first().waitFor();
    await page.getByRole('switch', { name: 'Keep exchanges' }).click();
    await sees(async () => (await operator.get('/traffic/settings')).enabled === true);
    await picture(page, 'real-settings');
    expect(await pageFaults(page)).toEqual([]);
  },
  TIMEOUT_MS,
);
