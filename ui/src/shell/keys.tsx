import { Dialog } from '../design/dialog.tsx';
import { dark, setTheme } from '../design/theme.ts';
import { info } from '../live/store.ts';
import { go } from '../router.ts';
import { SCREENS } from '../screens/all.ts';
import { shell } from './texts.ts';

/** `g` and its letter belong together when they come this close, ms. */
const TOGETHER_MS = 1_200;

/** The page's own keys. @returns what takes them away again */
export function listenToKeys(does: { search(): void; help(): void }): () => void {
  let gAtMs = -Infinity;
  const keys = (event: KeyboardEvent): void => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      does.search();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target !== null && target.closest('input, textarea, select, [contenteditable], dialog, .cm-editor') !== null) {
      // Out of a field of the page, so that its keys work again.
      if (event.key === 'Escape' && target instanceof HTMLElement && target.closest('dialog') === null) target.blur();
      return;
    }
    if (performance.now() - gAtMs < TOGETHER_MS) {
      gAtMs = -Infinity;
      const server = info.peek();
      const screen = SCREENS.find(({ letter, shown }) => letter === event.key && (server === null || shown === undefined || shown(server)));
      if (screen !== undefined) {
        event.preventDefault();
        go(screen.id);
        return;
      }
    }
    if (event.key === 'g') gAtMs = performance.now();
    else if (event.key === '/') does.search();
    else if (event.key === '?') does.help();
    else if (event.key === 'd') setTheme(dark.peek() ? 'light' : 'dark');
    else if (event.key === 'f') {
      const field = document.querySelector<HTMLElement>('main [data-find]');
      if (field === null) return;
      field.focus();
    } else return;
    event.preventDefault();
  };
  addEventListener('keydown', keys);
  return () => removeEventListener('keydown', keys);
}

export function KeysHelp({ onClose }: { onClose: () => void }) {
  const t = shell().keys;
  const server = info.value;
  const screens = SCREENS.filter(({ shown }) => server === null || shown === undefined || shown(server));
  return (
    <Dialog title={t.title} wide onClose={onClose}>
      <div class="keys">
        <div>
          <h3>{t.everywhere}</h3>
          <KeyRow keys={['/', 'Ctrl K']} says={t.openSearch} />
          <KeyRow keys={['f']} says={t.find} />
          <KeyRow keys={['d']} says={t.theme} />
          <KeyRow keys={['?']} says={t.help} />
          <KeyRow keys={['Esc']} says={t.close} />
          <h3>{t.lists}</h3>
          <KeyRow keys={['↓', 'j']} says={t.walk} />
          <KeyRow keys={['Enter']} says={t.open} />
          <KeyRow keys={['p']} says={t.pause} />
        </div>
        <div>
          <h3>{t.goTo}</h3>
          {screens.map(({ id, letter }) => (
            <div key={id} class="key-row">
              <span>{shell().nav[id]}</span>
              <span class="key-keys">
                <kbd>g</kbd> <span class="faint small">{t.afterwards}</span> <kbd>{letter}</kbd>
              </span>
            </div>
          ))}
        </div>
      </div>
    </Dialog>
  );
}

function KeyRow({ keys, says }: { keys: readonly string[]; says: string }) {
  return (
    <div class="key-row">
      <span>{says}</span>
      <span class="key-keys">
        {keys.map((key, i) => (
          <span key={key}>
            {i > 0 && <span class="faint small"> {shell().keys.or} </span>}
            <kbd>{key}</kbd>
          </span>
        ))}
      </span>
    </div>
  );
}
