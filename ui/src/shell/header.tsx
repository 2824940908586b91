import { api, session } from '../api/client.ts';
import { Badge } from '../design/badge.tsx';
import { IconButton } from '../design/button.tsx';
import { Icon } from '../design/icon.tsx';
import { Menu } from '../design/menu.tsx';
import { setTheme, type Theme, theme } from '../design/theme.ts';
import { LANGUAGES, language, setLanguage } from '../i18n/language.ts';
import { info, stopLive } from '../live/store.ts';
import { shell } from './texts.ts';
import { span } from '../i18n/format.ts';
import { nowMs } from '../live/store.ts';

const THEMES: readonly Theme[] = ['light', 'dark', 'system'];

export function Header({ onMenu, onSearch, onHelp }: { onMenu: () => void; onSearch: () => void; onHelp: () => void }) {
  const server = info.value;
  const who = session.value;
  const t = shell();
  return (
    <header class="header">
      <IconButton icon="menu" label={t.menu} class="header-menu" onClick={onMenu} aria-controls="sidebar" />
      {server !== null && (
        <div class="header-server">
          <span class="strong clip">{server.name || server.hostname}</span>
          <Badge tone={server.state === 'serving' ? 'good' : 'warn'} dot>
            {server.state === 'serving' ? t.serving : t.draining}
          </Badge>
          <Uptime startedAtMs={server.startedAtMs} />
        </div>
      )}
      <div class="header-tools">
        <button type="button" class="header-search" onClick={onSearch} aria-label={t.search}>
          <Icon name="search" size={15} />
          <span class="header-search-text">{t.search}</span>
          <kbd>/</kbd>
        </button>
        <Menu
          label={t.theme}
          button={<Icon name={theme.value === 'dark' ? 'moon' : theme.value === 'light' ? 'sun' : 'system'} />}
          items={THEMES.map((one) => ({
            text: t.themes[one],
            icon: one === 'dark' ? 'moon' : one === 'light' ? 'sun' : 'system',
            checked: theme.value === one,
            onChoose: () => setTheme(one),
          }))}
        />
        <Menu
          label={t.language}
          button={<Icon name="language" />}
          items={LANGUAGES.map((one) => ({ text: t.languages[one], checked: language.value === one, onChoose: () => setLanguage(one) }))}
        />
        <IconButton icon="help" label={t.help} class="header-help" onClick={onHelp} />
        {who !== null && who !== undefined && (
          <Menu
            label={t.account}
            button={<Icon name="user" />}
            head={
              <>
                <div class="faint small">{t.signedInAs}</div>
                <div class="strong wrap-anywhere">{who.user}</div>
                <div class="soft small">{t.roles[who.role]}</div>
              </>
            }
            items={[{ text: t.signOut, icon: 'out', onChoose: () => void signOut() }]}
          />
        )}
      </div>
    </header>
  );
}

function Uptime({ startedAtMs }: { startedAtMs: number }) {
  return <span class="header-uptime faint small">{span(nowMs.value - startedAtMs)}</span>;
}

/** Ends the session at the server, too; when that is away, at least here. */
export async function signOut(): Promise<void> {
  await api.delete('session').catch(() => {});
  stopLive();
  session.value = null;
}
