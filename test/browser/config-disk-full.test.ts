// A save that the disk has no room for, in a real browser. Needs Chromium.
import { expect, test } from 'vitest';
import { consolePages, hasBrowser, picture, TIMEOUT_MS } from '../kit/console-pages.ts';

const pages = consolePages();
const SAID = 'The disk is full: nothing was saved, and the old files are as they were. Make room and save again.';

test.runIf(hasBrowser)(
  'a save that finds the disk full says so where it was asked for, loses nothing that was typed, and can be made again',
  async () => {
    let isFull = true;
    const mock = await pages.mock({
      routes: {
        'POST /config/apply': () =>
          isFull
            ? Promise.reject(Object.assign(new Error(SAID), { status: 507, code: 'disk_full' }))
            : { ok: true, problems: [], diff: '', etag: 'x' },
      },
    });
    const page = await pages.open(`${mock.url}#/configuration/basic`, { mayComplain: /status of 507/ });
    const name = page.locator('[data-key=name] input');
    await name.fill('typed-here');
    await page.getByRole('button', { name: 'Review and save' }).click();
    const dialog = page.locator('dialog[open]');
    const save = dialog.getByRole('button', { name: 'Save and put to use' });
    await save.click();
    await dialog.getByRole('alert').getByText('The disk is full: nothing was saved').waitFor();
    await picture(page, 'disk-full');
    isFull = false;
    await save.click();
    await dialog.waitFor({ state: 'detached' });
    expect(mock.requests.filter((line) => line.startsWith('POST /api/v1/config/apply'))).toHaveLength(2);
  },
  TIMEOUT_MS,
);
