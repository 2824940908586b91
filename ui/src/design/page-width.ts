import { signal } from '@preact/signals';

/** How wide the page is, px. */
export const pageWidth = signal(typeof innerWidth === 'undefined' ? 1280 : innerWidth);

export function watchPageWidth(): void {
  addEventListener('resize', () => (pageWidth.value = innerWidth));
}
