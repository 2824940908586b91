// What a list of thousands does while it is scrolled. Needs Chromium.
import { expect, test } from 'vitest';
import { consolePages, hasBrowser, TIMEOUT_MS } from '../kit/console-pages.ts';

const pages = consolePages();

test.runIf(hasBrowser)(
  'a long list that is scrolled draws rows some at a time, and those in sight are always there',
  async () => {
    const mock = await pages.mock({ agents: 10_000 });
    const page = await pages.open(`${mock.url}#/agents`);
    await page.locator('.tbody [data-row="10"]').waitFor();
    const { drawings, gaps } = await page.locator('.table').evaluate(async (table) => {
      const drawn = (): number[] => [...table.querySelectorAll('.tbody .tr')].map((row) => Number(row.getAttribute('aria-rowindex')) - 2);
      const frame = (): Promise<unknown> => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      const rowPx = table.querySelector('.tbody .tr')!.getBoundingClientRect().height;
      const seen = new Set<string>();
      let missing = 0;
      for (let row = 0; row < 48; row++) {
        table.scrollTop = row * rowPx;
        await frame();
        await frame();
        const rows = drawn();
        seen.add(`${Math.min(...rows)}`);
        const last = Math.ceil((table.scrollTop + table.clientHeight) / rowPx) - 2;
        for (let one = row; one < last; one++) if (!rows.includes(one)) missing++;
      }
      return { drawings: seen.size, gaps: missing };
    });
    expect(gaps).toBe(0);
    // Forty-eight rows have passed.
    expect(drawings).toBeLessThanOrEqual(13);
  },
  TIMEOUT_MS,
);
