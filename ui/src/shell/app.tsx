import { useEffect, useState } from 'preact/hooks';
import { session } from '../api/client.ts';
import { Confirmation } from '../design/confirm.tsx';
import { Toasts } from '../design/toast.tsx';
import { startLive } from '../live/store.ts';
import { Login } from '../screens/login/login.tsx';
import { Banner } from './banner.tsx';
import { Header } from './header.tsx';
import { KeysHelp, listenToKeys } from './keys.tsx';
import { Palette } from './palette.tsx';
import { ScreenHost } from './screen-host.tsx';
import { Sidebar } from './sidebar.tsx';
import { place } from '../router.ts';
import { shell } from './texts.ts';

/** The whole page: who must log in sees that, everybody else the console. */
export function App() {
  const who = session.value;
  return (
    <>
      {who === undefined ? <div class="starting" aria-busy="true" /> : who === null ? <Login /> : <Console />}
      <Banner />
      <Toasts />
      <Confirmation />
    </>
  );
}

function Console() {
  const [menu, setMenu] = useState(false);
  const [over, setOver] = useState<'search' | 'help' | null>(null);
  useEffect(() => {
    startLive();
    return listenToKeys({ search: () => setOver('search'), help: () => setOver('help') });
  }, []);
  useEffect(() => {
    document.querySelector('main')?.scrollTo(0, 0);
  }, [place.value.screen]);
  useEffect(() => {
    if (!menu) return undefined;
    const escape = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') setMenu(false);
    };
    addEventListener('keydown', escape);
    return () => removeEventListener('keydown', escape);
  }, [menu]);
  return (
    <div class="console">
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('content')?.focus();
        }}
      >
        {shell().skip}
      </a>
      <Sidebar open={menu} onGo={() => setMenu(false)} />
      {menu && <div class="sidebar-shade" onClick={() => setMenu(false)} />}
      <div class="console-main">
        <Header onMenu={() => setMenu(!menu)} onSearch={() => setOver('search')} onHelp={() => setOver('help')} />
        <main class="content" id="content" tabIndex={-1}>
          <ScreenHost />
        </main>
      </div>
      {over === 'search' && <Palette onClose={() => setOver(null)} onHelp={() => setOver('help')} />}
      {over === 'help' && <KeysHelp onClose={() => setOver(null)} />}
    </div>
  );
}
