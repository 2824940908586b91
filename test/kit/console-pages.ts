import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, vi } from 'vitest';
import { buildUi } from '../../scripts/build-ui.mjs';
import { type Mock, type MockOptions, startMock } from '../../ui/dev/mock.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOUND = ['chromium', 'chromium-browser', 'google-chrome', 'chromium-headless-shell'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
);
if (FOUND === undefined) console.warn('SKIPPED: no Chromium here (apt-get install chromium): nothing was seen of the console');

/** Is there a browser? Else tests of pages are skipped, and counted as that. */
export const hasBrowser = FOUND !== undefined;
/** Where pictures go: WINDLASS_SCREENS, else a folder in the system's temporary one. */
export const SCREENS = process.env['WINDLASS_SCREENS'] ?? join(tmpdir(), 'windlass-screens');
export const TIMEOUT_MS = 90_000;

export interface Pages {
  /** A server that says what the real one says; closed after the test. */
  mock(options?: MockOptions): Promise<Mock>;
  /** A page of a new browser profile. What it complains of fails the test, but for what `mayComplain` matches. */
  open(url: string, options?: BrowserContextOptions & { mayComplain?: RegExp }): Promise<Page>;
}

/** The pages of the console in a real browser, for one file of tests. */
export function consolePages(): Pages {
  let browser: Browser;
  const closes: (() => Promise<unknown>)[] = [];
  const complaints: string[] = [];
  beforeAll(async () => {
    if (FOUND === undefined) return;
    mkdirSync(SCREENS, { recursive: true });
    expect(buildUi(ROOT, join(ROOT, 'dist', 'ui'))).toBe(true);
    browser = await chromium.launch({
      executablePath: spawnSync('which', [FOUND], { encoding: 'utf8' }).stdout.trim(),
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });
  }, TIMEOUT_MS);
  afterEach(async () => {
    for (const close of closes.splice(0).toReversed()) await close();
    expect(complaints.splice(0)).toEqual([]);
  });
  afterAll(() => browser?.close());
  return {
    mock: async (options = {}) => {
      const mock = await startMock({ loggedIn: true, ...options });
      closes.push(() => mock.close());
      return mock;
    },
    open: async (url, { mayComplain, ...options } = {}) => {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-GB', ...options });
      closes.push(() => context.close());
      const page = await context.newPage();
      page.setDefaultTimeout(20_000);
      const complain = (text: string): void => {
        // That the server refuses something is no fault of the page.
        if (/^Failed to load resource: the server responded with a status of 4\d\d/.test(text)) return;
        if (mayComplain === undefined || !mayComplain.test(text)) complaints.push(text);
      };
      page.on('console', (message) => {
        // Also everything that the page's policy forbids.
        if (message.type() === 'error' || message.type() === 'warning') complain(message.text());
      });
      page.on('pageerror', (error) => complain(`uncaught: ${error.message}`));
      page.on('dialog', (dialog) => {
        complain(`a dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      await page.goto(url);
      return page;
    },
  };
}

/** Keeps a picture, to be looked at by people. */
export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(SCREENS, `${name}.png`), animations: 'disabled' });
}

/** Waits until the page, or the server behind it, is as `look` wants. */
export async function sees(look: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitUntil(look, { timeout: 20_000, interval: 50 });
}
