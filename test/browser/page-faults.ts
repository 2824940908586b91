import type { Page } from 'playwright-core';

/** What is wrong with how a page is made: things without a name for those who cannot see them, ids that stand twice, a page that scrolls sideways. */
export function pageFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const odd: string[] = [];
    for (const element of document.querySelectorAll<HTMLElement>(
      'button, a[href], input, select, textarea, [role=row][tabindex], dialog, table, [role=table], [role=img], nav',
    )) {
      if (!element.checkVisibility()) continue;
      const label = element.getAttribute('aria-label') ?? document.getElementById(element.getAttribute('aria-labelledby') ?? '')?.textContent ?? '';
      const around = element.closest('label')?.textContent ?? '';
      const forIt = element.id === '' ? '' : (document.querySelector(`label[for="${CSS.escape(element.id)}"]`)?.textContent ?? '');
      if ((label + around + forIt + (element.textContent ?? '')).trim() === '') odd.push(`without a name: ${element.outerHTML.slice(0, 160)}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    odd.push(...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `twice: ${id}`));
    const main = document.querySelector('main')!;
    if (document.documentElement.scrollWidth > innerWidth || main.scrollWidth > main.clientWidth) odd.push(`scrolls sideways: ${location.hash}`);
    return odd;
  });
}
