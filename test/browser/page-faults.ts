import type { Page } from 'playwright-core';

/**
 * What is wrong with how a page is made: things without a name for those who cannot see them, tables without heads, ids that stand twice, a page that scrolls
 * sideways, text that is cut off, and text that does not stand out from what is below it as WCAG 2.2 AA wants.
 */
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
    for (const table of document.querySelectorAll('table, [role=table], [role=grid]')) {
      if (table.checkVisibility() && table.querySelector('th, [role=columnheader], [role=rowheader]') === null)
        odd.push(`without heads: ${table.outerHTML.slice(0, 120)}`);
    }
    for (const live of document.querySelectorAll('[aria-live=assertive]')) odd.push(`interrupts: ${live.outerHTML.slice(0, 120)}`);
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    odd.push(...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => `twice: ${id}`));
    const main = document.querySelector('main')!;
    if (document.documentElement.scrollWidth > innerWidth || main.scrollWidth > main.clientWidth) odd.push(`scrolls sideways: ${location.hash}`);

    type Colour = readonly [red: number, green: number, blue: number, alpha: number];
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })!;
    // Browsers know more ways to write a colour than a test should.
    const colourOf = (text: string): Colour => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
      return [red!, green!, blue!, alpha! / 255];
    };
    const over = (front: Colour, back: Colour): Colour => {
      const mix = (i: 0 | 1 | 2): number => front[i] * front[3] + back[i] * (1 - front[3]);
      return [mix(0), mix(1), mix(2), 1];
    };
    const luminance = (colour: Colour): number => {
      const part = (i: 0 | 1 | 2): number => (colour[i] / 255 <= 0.04045 ? colour[i] / 255 / 12.92 : ((colour[i] / 255 + 0.055) / 1.055) ** 2.4);
      return 0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2);
    };
    const groundOf = (element: Element): Colour => {
      const layers: Colour[] = [];
      for (let one: Element | null = element; one !== null; one = one.parentElement) {
        const colour = colourOf(getComputedStyle(one).backgroundColor);
        layers.push(colour);
        if (colour[3] === 1) break;
      }
      return layers.reduceRight<Colour>((back, front) => over(front, back), [255, 255, 255, 1]);
    };
    const found = new Set<string>();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
      const element = text.parentElement!;
      const said = text.nodeValue!.trim();
      // What cannot be used is let off by WCAG; what is not seen is no text to see.
      if (said === '' || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
      if (element.closest('.unseen, .skip, :disabled, script, style') !== null) continue;
      const style = getComputedStyle(element);
      let opacity = 1;
      for (let one: Element | null = element; one !== null; one = one.parentElement) opacity *= Number(getComputedStyle(one).opacity);
      const ground = groundOf(element);
      const colour = colourOf(element instanceof SVGElement ? style.fill : style.color);
      const [high, low] = [luminance(over([colour[0], colour[1], colour[2], colour[3] * opacity], ground)), luminance(ground)].toSorted(
        (x, y) => y - x,
      );
      const contrast = (high! + 0.05) / (low! + 0.05);
      const size = Number.parseFloat(style.fontSize);
      const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      if (contrast < least - 0.005) found.add(`too faint, ${contrast.toFixed(2)}: .${element.getAttribute('class')} ${said.slice(0, 40)}`);
      // Text may end in dots or lie in something that scrolls; it may not just end.
      const range = document.createRange();
      range.selectNodeContents(text);
      const { left, right } = range.getBoundingClientRect();
      for (let one: Element | null = element; one !== null && one !== document.body; one = one.parentElement) {
        const { overflowX, textOverflow } = getComputedStyle(one);
        if (overflowX === 'auto' || overflowX === 'scroll' || textOverflow === 'ellipsis') break;
        if (overflowX !== 'hidden' && overflowX !== 'clip') continue;
        const edge = one.getBoundingClientRect();
        if (left < edge.right && right > edge.right + 1.5) found.add(`cut off: ${said.slice(0, 60)}`);
        break;
      }
    }
    return [...odd, ...found];
  });
}
