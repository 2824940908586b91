import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { AgentInfo, Page, UpstreamInfo } from '../../../src/admin/model.ts';
import { api } from '../api/client.ts';
import { may } from '../api/may.ts';
import { Icon, type IconName } from '../design/icon.tsx';
import { dark, setTheme } from '../design/theme.ts';
import { language, setLanguage } from '../i18n/language.ts';
import { info } from '../live/store.ts';
import { go } from '../router.ts';
import { SCREENS } from '../screens/all.ts';
import { signOut } from './header.tsx';
import { shell } from './texts.ts';

interface Choice {
  readonly group: 'screens' | 'commands' | 'agents' | 'upstreams';
  readonly id: string;
  readonly icon: IconName;
  readonly text: string;
  readonly hint?: string;
  run(): void;
}

/** Typing rests for so long before the server is asked, ms. */
const RESTS_MS = 150;
const FOUND_MAX = 6;

/** One field for going anywhere and doing what needs no screen. */
export function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const t = shell();
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const [found, setFound] = useState<readonly Choice[]>([]);

  useEffect(() => {
    const element = dialog.current!;
    const before = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);

  useEffect(() => {
    setAt(0);
    if (text.trim() === '') {
      setFound([]);
      return undefined;
    }
    const ends = new AbortController();
    const timer = setTimeout(() => {
      void search(text.trim(), ends.signal).then((choices) => !ends.signal.aborted && setFound(choices));
    }, RESTS_MS);
    return () => {
      clearTimeout(timer);
      ends.abort();
    };
  }, [text]);

  const wanted = text.trim().toLowerCase();
  const fixed = choices(onHelp).filter(({ text: says, id: name }) => wanted === '' || says.toLowerCase().includes(wanted) || name.includes(wanted));
  const all = [...fixed, ...found];
  const choose = (choice: Choice | undefined): void => {
    if (choice === undefined) return;
    onClose();
    choice.run();
  };
  const keys = (event: KeyboardEvent): void => {
    event.stopPropagation();
    if (event.key === 'ArrowDown') setAt((at + 1) % Math.max(1, all.length));
    else if (event.key === 'ArrowUp') setAt((at - 1 + all.length) % Math.max(1, all.length));
    else if (event.key === 'Enter') choose(all[at]);
    else return;
    event.preventDefault();
  };
  useEffect(() => document.getElementById(`${id}-${at}`)?.scrollIntoView({ block: 'nearest' }), [at]);

  let group = '';
  return (
    <dialog
      ref={dialog}
      class="dialog palette"
      aria-label={t.palette.title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onMouseDown={(event) => event.target === dialog.current && onClose()}
      onKeyDown={keys}
    >
      <div class="dialog-inside">
        <div class="palette-field">
          <Icon name="search" />
          <input
            autofocus
            role="combobox"
            aria-expanded="true"
            aria-controls={`${id}-list`}
            aria-activedescendant={all.length > 0 ? `${id}-${at}` : undefined}
            aria-label={t.palette.title}
            placeholder={t.palette.placeholder}
            spellcheck={false}
            autocomplete="off"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <kbd>Esc</kbd>
        </div>
        <div class="palette-list" id={`${id}-list`} role="listbox" aria-label={t.palette.title}>
          {all.length === 0 && <p class="palette-nothing">{t.palette.nothing}</p>}
          {all.map((choice, i) => {
            const head = choice.group === group ? null : (group = choice.group);
            return (
              <>
                {head !== null && (
                  <div key={head} class="palette-group" role="presentation">
                    {t.palette[choice.group]}
                  </div>
                )}
                <div
                  key={choice.id}
                  id={`${id}-${i}`}
                  role="option"
                  aria-selected={i === at}
                  class="palette-choice"
                  onMouseMove={() => i !== at && setAt(i)}
                  onClick={() => choose(choice)}
                >
                  <Icon name={choice.icon} size={16} />
                  <span class="grow clip">{choice.text}</span>
                  {choice.hint !== undefined && <span class="faint small">{choice.hint}</span>}
                </div>
              </>
            );
          })}
        </div>
      </div>
    </dialog>
  );
}

function choices(onHelp: () => void): Choice[] {
  const t = shell();
  const server = info.value;
  const screens = SCREENS.filter(({ shown }) => server === null || shown === undefined || shown(server)).map(({ id, icon, letter }): Choice => ({
    group: 'screens',
    id,
    icon,
    text: t.nav[id],
    hint: `g ${letter}`,
    run: () => go(id),
  }));
  const commands: Choice[] = [
    {
      group: 'commands',
      id: 'theme',
      icon: dark.value ? 'sun' : 'moon',
      text: t.palette.toggleTheme,
      hint: 'd',
      run: () => setTheme(dark.peek() ? 'light' : 'dark'),
    },
    {
      group: 'commands',
      id: 'language',
      icon: 'language',
      text: t.palette.toggleLanguage,
      run: () => setLanguage(language.peek() === 'en' ? 'zh' : 'en'),
    },
    { group: 'commands', id: 'keyboard', icon: 'help', text: t.palette.showKeys, hint: '?', run: onHelp },
    { group: 'commands', id: 'logout', icon: 'out', text: t.signOut, run: () => void signOut() },
  ];
  if (may('admin'))
    commands.unshift({ group: 'commands', id: 'register', icon: 'plus', text: t.palette.register, run: () => go('agents', [], { register: '1' }) });
  return [...screens, ...commands];
}

async function search(text: string, signal: AbortSignal): Promise<Choice[]> {
  const nothing = { items: [] };
  const [agents, upstreams] = await Promise.all([
    api.get<Pick<Page<AgentInfo>, 'items'>>('agents', { query: { query: text, limit: FOUND_MAX }, signal }).catch(() => nothing),
    api.get<Pick<Page<UpstreamInfo>, 'items'>>('upstreams', { signal }).catch(() => nothing),
  ]);
  const like = text.toLowerCase();
  return [
    ...agents.items.slice(0, FOUND_MAX).map(({ id, name }): Choice => ({
      group: 'agents',
      id: `agent-${id}`,
      icon: 'agents',
      text: name || id,
      hint: name === '' ? '' : id.slice(0, 12),
      run: () => go('agents', id),
    })),
    ...upstreams.items
      .filter(({ name }) => name.toLowerCase().includes(like))
      .slice(0, FOUND_MAX)
      .map(({ name }): Choice => ({ group: 'upstreams', id: `upstream-${name}`, icon: 'upstreams', text: name, run: () => go('upstreams', name) })),
  ];
}
