// What lists and drawings of thousands do. Needs Chromium.
import { expect, test } from 'vitest';
import type { ConfigInfo, Topology, TopologyEdge, TopologyNode } from '../../src/admin/model.ts';
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

test.runIf(hasBrowser)(
  'in a table of hundreds of upstreams no cell is higher than its row, however many addresses and locations an upstream has',
  async () => {
    const mock = await pages.mock();
    const page = await pages.open('about:blank');
    await page.route('**/api/v1/config', async (route) => {
      const answer = await route.fetch();
      const info = (await answer.json()) as ConfigInfo;
      const [model] = info.sections['upstreams']!;
      const upstreams = Array.from({ length: 300 }, (_, i) => ({
        ...model!,
        name: `backend-${i}`,
        values: { addrs: Array.from({ length: 5 }, (_unused, k) => `backend-${i}-${k}.internal.example.com:8080 ${k}`) },
        usedBy: Array.from({ length: 5 }, (_unused, k) => `locations.service-${i}-${k}`),
      }));
      await route.fulfill({ response: answer, json: { ...info, sections: { ...info.sections, upstreams } } });
    });
    await page.goto(`${mock.url}#/configuration/upstreams`);
    await page.locator('.tbody [data-row="10"]').waitFor();
    expect(await page.locator('.tbody [data-row="3"]').innerText()).toContain('+4');
    const higher = await page
      .locator('.tbody .tr')
      .evaluateAll(
        (rows) =>
          rows.filter((row) => [...row.children].some((cell) => cell.getBoundingClientRect().height > row.getBoundingClientRect().height)).length,
      );
    expect(higher).toBe(0);
  },
  TIMEOUT_MS,
);

test.runIf(hasBrowser)(
  'of hundreds of edges with traffic only those move that lead through the node that is looked at',
  async () => {
    const traffic = { requestsPerSecond: 1, errorsPerSecond: 0, inFlight: 0 };
    const node = (kind: 'server' | 'location' | 'upstream', label: string): TopologyNode => ({
      id: `${kind}:${label}`,
      kind,
      label,
      detail: '',
      state: 'well',
      count: 1,
    });
    const names = Array.from({ length: 40 }, (_, i) => `thing-${i}`);
    const edges: TopologyEdge[] = names.flatMap((name) => [
      { from: 'server:web', to: `location:${name}`, ...traffic },
      { from: `location:${name}`, to: `upstream:${name}`, ...traffic },
      { from: `location:${name}`, to: 'upstream:thing-0', ...traffic },
    ]);
    const nodes = [node('server', 'web'), ...names.map((name) => node('location', name)), ...names.map((name) => node('upstream', name))];
    let shown: Topology = { nodes, edges };
    const mock = await pages.mock();
    const page = await pages.open('about:blank');
    await page.route('**/api/v1/topology', (route) => route.fulfill({ json: shown }));
    await page.goto(`${mock.url}#/overview`);
    await page.locator('.edge-flows').first().waitFor();
    expect(await page.locator('.edge-pulse').count()).toBe(0);
    await page
      .getByRole('link', { name: /^thing-7,/ })
      .first()
      .hover();
    // From the server to the location, and on to two upstreams.
    await expect.poll(() => page.locator('.edge-pulse').count(), { timeout: 20_000 }).toBe(3);
    // A few all move.
    shown = { nodes, edges: edges.slice(0, 30) };
    await page.mouse.move(0, 0);
    await expect.poll(() => page.locator('.edge-pulse').count(), { timeout: 20_000 }).toBe(30);
  },
  TIMEOUT_MS,
);
