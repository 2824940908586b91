// The whole way of somebody new, with the mouse and what a person types: from `npm start` to one's own request, a location, a broken file and back, another
// gateway's file, an agent that comes and goes. The program is the one that is shipped, started as a fresh clone starts it. Needs Chromium.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { consolePages, hasBrowser, picture, sees } from '../kit/console-pages.ts';
import { kit } from '../kit/kit.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** With a build of the program, on a machine that does other things as well. */
const TIMEOUT_MS = 240_000;
const tools = kit();
const pages = consolePages();
const run = promisify(execFile);

test.runIf(hasBrowser)(
  'a stranger starts it, finds the own request, adds a location, breaks the file, goes back, imports, registers and revokes an agent',
  async () => {
    const start = await startAsInReadme();
    const page = await pages.open(start.link);

    // One's own request.
    await page.locator('.node', { hasText: 'models' }).waitFor();
    expect(await start.shell(start.curl)).toContain('"object":"list"');
    await menu(page, 'Traffic');
    await page.locator('.tbody .tr', { hasText: '/v1/models' }).first().click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByText('Where the time went').waitFor();
    for (const part of ['Tunnel', 'Agent', 'Upstream']) await dialog.getByRole('rowheader', { name: new RegExp(`^${part}`) }).waitFor();
    await picture(page, 'stranger-story');
    await dialog.getByRole('button', { name: 'Close' }).click();

    // A location: what matters comes first, and the only server is meant.
    await menu(page, 'Configuration');
    await page
      .locator('.content')
      .getByRole('link', { name: /^Locations/ })
      .first()
      .click();
    await page
      .getByRole('button', { name: 'New location' })
      .or(page.getByRole('link', { name: 'New location' }))
      .click();
    expect(await page.getByRole('checkbox', { name: /web/ }).isChecked()).toBe(true);
    await page.locator('#item-name').fill('chat');
    for (const [label, text] of [
      ['Path', '/v1/chat'],
      ['Upstream', 'agents'],
    ]) {
      const input = page.getByLabel(label!).first();
      await expect.poll(async () => (await input.boundingBox())!.y).toBeLessThan(800);
      await input.fill(text!);
    }
    await page.getByRole('button', { name: 'Review and save' }).click();
    await dialog.getByText('The gateway can use it.').waitFor();
    await dialog.getByText('locations = ["models", "chat"]').waitFor();
    await dialog.getByText('path = "/v1/chat"').waitFor();
    await picture(page, 'stranger-review');
    await dialog.getByRole('button', { name: 'Save and put to use' }).click();
    await page.locator('.toast', { hasText: 'Saved, and in use.' }).waitFor();
    await start.shell(`curl ${start.url}/v1/chat/completions -d '{}'`);
    await menu(page, 'Traffic');
    await page.locator('.tbody .tr', { hasText: '/v1/chat/completions' }).locator('text="chat"').waitFor();

    // A mistake in the editor is told where it stands, and cannot be saved.
    await menu(page, 'Configuration');
    await page.getByRole('link', { name: 'TOML editor' }).click();
    await page.locator('.cm-line', { hasText: 'path = "/v1/chat"' }).click();
    await page.keyboard.press('End');
    await page.keyboard.type('\nupstrem = "agents"');
    await page.locator('.toml-problems').getByText('did you mean upstream?').waitFor();
    // The word about what was saved before lies on no button.
    expect(await overlaps(page, '.toasts', '.save-bar')).toBe(false);
    expect(await page.locator('.toml-problems').evaluate((list) => list.scrollHeight - list.clientHeight)).toBe(0);
    await page.getByRole('button', { name: 'Review and save' }).click();
    await dialog.getByText('It cannot be used so. Nothing was written.').waitFor();
    expect(await dialog.getByRole('button', { name: 'Save and put to use' }).isDisabled()).toBe(true);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Discard' }).click();

    // Somebody else breaks the file on disk: what served goes on, and there is a way back.
    appendFileSync(start.file, '\n[locations.broken]\nupstrem = "agents"\n');
    await menu(page, 'Overview');
    const attention = page.locator('.attention-bad', { hasText: 'The configuration on disk cannot be used' });
    await attention.waitFor();
    expect(await start.shell(start.curl)).toContain('"object":"list"');
    await attention.getByText('Look').click();
    await page.getByText('The files cannot be used. What served before goes on.').waitFor();
    const versions = page.locator('.version');
    await versions.nth(0).getByText('in the files now').waitFor();
    await versions.nth(0).getByText('locations.broken').waitFor();
    await versions.nth(1).getByText('serves now').waitFor();
    await versions.nth(1).getByText('servers.web, locations.chat').waitFor();
    await picture(page, 'stranger-broken');
    await page.getByRole('button', { name: 'Back to what served last' }).click();
    await dialog.getByRole('button', { name: 'Back to what served last' }).click();
    await page.getByText('What the files say is what serves.').waitFor();

    // An earlier version is looked at and restored.
    await restore(page, 'version 1');
    await start.shell(`curl ${start.url}/v1/chat/completions -d '{}'`);
    await menu(page, 'Traffic');
    await page.locator('.tbody .tr', { hasText: '/v1/chat/completions' }).first().locator('text="models"').waitFor();

    // A file of Pingap is tried, seen and taken; this console stays where it is.
    await menu(page, 'Configuration');
    await page.getByRole('link', { name: 'Import and export' }).click();
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByText('secret = "********"').waitFor();
    await page.locator('.content select').selectOption('pingap');
    await page.locator('.import-text').fill(pingapFile(start.url));
    await page.getByRole('button', { name: 'Try it' }).click();
    await page.getByText('servers.web.threads is not used').waitFor();
    await page.getByText('basic.admin_addr of this gateway stay').waitFor();
    // Only the page's own part scrolls.
    expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBe(0);
    await picture(page, 'stranger-import');
    await page.getByRole('button', { name: 'Import and put to use' }).click();
    await dialog.getByRole('button', { name: 'Import and put to use' }).click();
    await page.locator('.toast', { hasText: 'Imported, and in use.' }).waitFor();
    expect(await start.shell(`curl ${start.url}/any`)).toBe('from the other gateway');
    await page.locator('.version').nth(0).getByText('imported (pingap)').waitFor();
    await restore(page, 'version 1');

    // An agent: its token is shown once, it joins, and is cut off.
    const service = await tools.startOrigin();
    await menu(page, 'Agents');
    await page.getByRole('button', { name: 'Register an agent' }).click();
    await dialog.getByLabel('Name').fill('gpu-box');
    await dialog.getByRole('button', { name: 'Make the token' }).click();
    const token = await dialog.locator('.copy-secret').innerText();
    const agent = start.windlass(['agent', 'run', '--hub', start.url, '--upstream', `127.0.0.1:${service.port}`], { WINDLASS_TOKEN: token });
    await dialog.getByText('gpu-box has joined.').waitFor();
    await dialog.getByRole('button', { name: 'I have copied it' }).click();
    expect(await page.content()).not.toContain(token);
    await page.locator('.tbody').getByText('gpu-box').click();
    await dialog.getByRole('button', { name: 'Revoke …' }).click();
    await page.locator('dialog[open]').last().getByRole('button', { name: 'Revoke it' }).click();
    await page.locator('.tbody').getByText('gpu-box').waitFor({ state: 'detached' });
    await sees(() => agent.said.includes('the agent token has been revoked: ask for a new one'));

    // Who has signed out comes in again by another link, in the page that is open.
    await page.getByRole('button', { name: /local|account/i }).click();
    await page.getByRole('menuitem', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.goto((await start.shell(start.newLink)).trim());
    await page.locator('.tbody').getByText('demo').waitFor();
    expect(page.url()).not.toContain('ticket');
  },
  TIMEOUT_MS,
);

const menu = (page: Page, name: string): Promise<void> => page.locator('nav').getByRole('link', { name, exact: true }).first().click();

/** Do two parts of the page lie on each other? */
const overlaps = (page: Page, one: string, other: string): Promise<boolean> =>
  page.evaluate(
    (names) => {
      const [a, b] = names.map((name) => document.querySelector(name)?.getBoundingClientRect());
      return a !== undefined && b !== undefined && a.height > 0 && a.bottom > b.top && a.top < b.bottom && a.right > b.left && a.left < b.right;
    },
    [one, other],
  );

async function restore(page: Page, version: string): Promise<void> {
  await page.getByRole('link', { name: 'History', exact: true }).click();
  await page.locator('.version', { has: page.getByText(version, { exact: true }) }).click();
  await page.locator('dialog[open]').getByRole('tab', { name: 'What restoring would change' }).click();
  await page.locator('dialog[open]').getByRole('button', { name: 'Restore' }).click();
  await page.locator('dialog[open]').last().getByRole('button', { name: 'Restore' }).click();
  await page.locator('.toast', { hasText: 'Restored, and in use.' }).waitFor();
  await page.locator('.version').nth(0).getByText(`${version} restored`).waitFor();
}

const pingapFile = (url: string): string => `[basic]
name = "other"

[servers.web]
addr = "${new URL(url).host}"
locations = ["all"]
threads = 2

[locations.all]
plugins = ["hello"]

[plugins.hello]
category = "mock"
data = "from the other gateway"
`;

interface Start {
  readonly url: string;
  readonly link: string;
  readonly file: string;
  /** The first line to try. */
  readonly curl: string;
  /** The line that makes another link. */
  readonly newLink: string;
  /** What a line that was printed prints itself. */
  shell(line: string): Promise<string>;
  windlass(argv: readonly string[], env: Readonly<Record<string, string>>): { readonly said: string };
}

/** `npm start`, on free ports and with a home of its own. */
async function startAsInReadme(): Promise<Start> {
  const home = mkdtempSync(join(tmpdir(), 'windlass-stranger-'));
  tools.later(() => rmSync(home, { recursive: true, force: true }));
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, no_proxy: '*', npm_lifecycle_event: 'start' };
  const program = (argv: readonly string[], more: Readonly<Record<string, string>>): Said => {
    const said = new Said(spawn(process.execPath, argv, { cwd: ROOT, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] }));
    tools.later(() => said.end());
    return said;
  };
  const main = join(ROOT, 'dist', 'cli', 'main.js');
  const demo = program([join(ROOT, 'scripts', 'start.mjs'), '--port', '0'], {});
  await demo.until('Ctrl-C ends it.');
  const line = (pattern: RegExp): string => {
    const [, found] = pattern.exec(demo.said) ?? [];
    if (found === undefined) throw new Error(`no ${String(pattern)} in:\n${demo.said}`);
    return found;
  };
  return {
    url: line(/^A gateway on (\S+),/m),
    link: line(/^(http:\S+#ticket=\S+)$/m),
    file: line(/^The gateway runs from (\S+)$/m),
    curl: line(/^(curl \S+)$/m),
    newLink: line(/^(npx windlass console .*)$/m),
    shell: async (text) => {
      const command = text.replace(/^npx windlass /, `'${process.execPath}' '${main}' `).replace(/^curl /, 'curl -sS --max-time 10 ');
      return (await run('/bin/sh', ['-c', command], { env, timeout: 20_000 })).stdout;
    },
    windlass: (argv, more) => program([main, ...argv], more),
  };
}

/** A process, and all that it has said. */
class Said {
  readonly #child: ChildProcess;
  said = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => (this.said += text));
  }

  async until(text: string): Promise<void> {
    while (!this.said.includes(text)) {
      if (this.#child.exitCode !== null) throw new Error(`it ended:\n${this.said}`);
      await Promise.race([once(this.#child.stdout!, 'data'), once(this.#child, 'exit')]);
    }
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }
}
