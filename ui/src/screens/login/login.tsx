import './login.css';
import { useEffect, useState } from 'preact/hooks';
import { ApiError } from '../../api/problem.ts';
import { Button } from '../../design/button.tsx';
import { CopyField } from '../../design/copy.tsx';
import { TextField } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { setTheme, dark } from '../../design/theme.ts';
import { language, setLanguage } from '../../i18n/language.ts';
import { logIn, ticketError } from '../../session.ts';
import { Mark } from '../../shell/sidebar.tsx';
import { texts } from './texts.ts';

/** Who are you? With a password, or told how to come in without one. */
export function Login() {
  const t = texts();
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = `${t.title} · Windlass`;
  }, [t.title]);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await logIn(user, password);
    } catch (refused) {
      setError(refused instanceof ApiError ? refused : new ApiError(0, '', String(refused)));
      setPassword('');
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <div class="login-tools">
        <Button kind="quiet" small icon={dark.value ? 'sun' : 'moon'} onClick={() => setTheme(dark.peek() ? 'light' : 'dark')}>
          {dark.value ? t.light : t.dark}
        </Button>
        <Button kind="quiet" small icon="language" onClick={() => setLanguage(language.peek() === 'en' ? 'zh' : 'en')}>
          {t.otherLanguage}
        </Button>
      </div>
      <div class="login-card">
        <div class="login-head">
          <Mark size={44} />
          <h1>{t.title}</h1>
          <p class="soft">{t.text}</p>
        </div>
        {ticketError.value !== null && (
          <div class="note note-warn" role="alert">
            <Icon name="warning" size={16} />
            <div class="note-text">
              <strong>{t.ticketRefused}</strong> {ticketError.value.message}
            </div>
          </div>
        )}
        <form class="stack" onSubmit={(event) => void submit(event)}>
          <TextField label={t.user} name="username" autocomplete="username" value={user} onInput={setUser} required autoFocus />
          <TextField
            label={t.password}
            name="password"
            type="password"
            autocomplete="current-password"
            value={password}
            onInput={setPassword}
            required
          />
          {error !== null && (
            <div class="note note-bad" role="alert">
              <Icon name="error" size={16} />
              <div class="note-text">{error.away ? t.away : error.status === 401 ? t.wrong : error.message}</div>
            </div>
          )}
          <Button type="submit" kind="primary" busy={busy} class="login-button">
            {t.signIn}
          </Button>
        </form>
        <div class="login-other">
          <h2>{t.noPassword}</h2>
          <p class="soft small">{t.noPasswordText}</p>
          <CopyField text="windlass console --open" label={t.command} />
        </div>
      </div>
    </main>
  );
}
