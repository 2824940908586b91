import { Icon } from '../design/icon.tsx';
import { info, latest, link } from '../live/store.ts';
import { href, place } from '../router.ts';
import { compact } from '../i18n/format.ts';
import { SCREENS } from '../screens/all.ts';
import { shell } from './texts.ts';

const GROUPS = ['watch', 'change', 'system'] as const;

/** The way to all screens. `onGo` closes it where it lies over the page. */
export function Sidebar({ open, onGo }: { open: boolean; onGo: () => void }) {
  const here = place.value.screen === '' ? 'overview' : place.value.screen;
  const server = info.value;
  const queued = latest.value?.queue ?? 0;
  const screens = SCREENS.filter(({ shown }) => server === null || shown === undefined || shown(server));
  return (
    <aside class={`sidebar ${open ? 'sidebar-open' : ''}`} id="sidebar">
      <a class="brand" href={href('overview')} onClick={onGo}>
        <Mark />
        <span class="brand-name">{shell().product}</span>
      </a>
      <nav class="nav" aria-label={shell().mainNavigation}>
        {GROUPS.map((group) => {
          const inside = screens.filter((screen) => screen.group === group);
          if (inside.length === 0) return null;
          return (
            <div key={group} class="nav-group">
              <div class="nav-title">{shell().groups[group]}</div>
              <ul>
                {inside.map(({ id, icon, letter }) => (
                  <li key={id}>
                    <a
                      class="nav-link"
                      href={href(id)}
                      aria-current={here === id ? 'page' : undefined}
                      title={`${shell().nav[id]} (g ${letter})`}
                      onClick={onGo}
                    >
                      <Icon name={icon} />
                      <span class="nav-text">{shell().nav[id]}</span>
                      {id === 'queue' && queued > 0 && <span class="nav-count">{compact(queued)}</span>}
                    </a>
                  </li>
                ))}
              </ul>
            </div>
          );
        })}
      </nav>
      <div class="sidebar-foot">
        <span class={`link-state link-${link.value}`}>
          <span class="dot" aria-hidden="true" />
          <span class="nav-text">{shell().link[link.value]}</span>
        </span>
        {server !== null && <span class="nav-text faint small clip">{server.version}</span>}
      </div>
    </aside>
  );
}

/** The wheel of a ship's windlass. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M16 11a5 5 0 1 0 .01 0M16 5.500V11M16 21v5.500M5.500 16H11M21 16h5.500M8.600 8.600l3.900 3.900M19.500 19.500l3.900 3.900M23.400 8.600l-3.900 3.900M12.500 19.500l-3.900 3.900" />
    </svg>
  );
}
