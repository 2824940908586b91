import { computed, signal } from '@preact/signals';
import { storage } from '../storage.ts';

export type Theme = 'light' | 'dark' | 'system';

/** What was chosen; `system` follows the system's. */
export const theme = signal<Theme>(kept());
const systemIsDark = signal(false);
/** What is seen. Things that draw by themselves, such as charts, read it to be drawn anew. */
export const dark = computed(() => (theme.value === 'system' ? systemIsDark.value : theme.value === 'dark'));

export function setTheme(next: Theme): void {
  theme.value = next;
  storage.set('theme', next === 'system' ? null : next);
  if (next === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = next;
}

export function watchSystemTheme(): void {
  const media = matchMedia('(prefers-color-scheme: dark)');
  systemIsDark.value = media.matches;
  media.addEventListener('change', () => (systemIsDark.value = media.matches));
}

/** The colour of a token as the browser sees it now, for canvases. */
export function colour(token: string): string {
  const probe = document.createElement('span');
  probe.className = 'unseen';
  probe.style.color = `var(--${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function kept(): Theme {
  const value = storage.get('theme');
  return value === 'light' || value === 'dark' ? value : 'system';
}
