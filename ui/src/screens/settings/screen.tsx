import { session } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { Facts } from '../../design/facts.tsx';
import { Segments } from '../../design/field.tsx';
import { setTheme, type Theme, theme } from '../../design/theme.ts';
import { ago, dateTime } from '../../i18n/format.ts';
import { LANGUAGES, language, setLanguage } from '../../i18n/language.ts';
import { info, nowMs } from '../../live/store.ts';
import { signOut } from '../../shell/header.tsx';
import { AuditCard } from './audit-card.tsx';
import { InspectorCard } from './inspector-card.tsx';
import './settings.css';
import { TokensCard } from './tokens-card.tsx';
import { settingsWords } from './words.ts';

const THEMES: readonly Theme[] = ['light', 'dark', 'system'];

/** Who you are, how the page looks, who else may do what, and what they did. */
export default function SettingsScreen() {
  const t = settingsWords();
  return (
    <div class="page">
      <div class="page-head">
        <div class="page-title">
          <h1>{t.title}</h1>
        </div>
      </div>
      <div class="settings-cards">
        <You />
        <Look />
        <Server />
        <InspectorCard />
      </div>
      {may('admin') && (
        <>
          <TokensCard />
          <AuditCard />
        </>
      )}
    </div>
  );
}

function You() {
  const t = settingsWords();
  const who = session.value;
  if (who === null || who === undefined) return null;
  return (
    <Card
      title={t.session}
      actions={
        <Button small icon="out" onClick={() => void signOut()}>
          {t.signOut}
        </Button>
      }
    >
      <Facts
        items={[
          [t.user, <span class="strong wrap-anywhere">{who.user}</span>],
          [
            t.role,
            <>
              <Badge tone="info">{who.role}</Badge> <span class="soft">{t.roles[who.role]}</span>
            </>,
          ],
          [t.by, t.bys[who.by]],
          ...(who.expiresAtMs > 0 ? [[t.ends, t.endsText(dateTime(who.expiresAtMs))] as const] : []),
        ]}
      />
    </Card>
  );
}

function Look() {
  const t = settingsWords();
  return (
    <Card title={t.look}>
      <div class="stack">
        <div class="settings-choice">
          <span class="field-label">{t.theme}</span>
          <Segments label={t.theme} value={theme.value} choices={THEMES.map((one) => [one, t.themes[one]] as const)} onChange={setTheme} />
        </div>
        <div class="settings-choice">
          <span class="field-label">{t.language}</span>
          <Segments
            label={t.language}
            value={language.value}
            choices={LANGUAGES.map((one) => [one, t.languages[one]] as const)}
            onChange={setLanguage}
          />
        </div>
      </div>
    </Card>
  );
}

function Server() {
  const t = settingsWords();
  const server = info.value;
  if (server === null) return null;
  const f = t.serverFacts;
  return (
    <Card title={t.server} note={server.name}>
      <Facts
        items={[
          [f.version, server.version],
          [f.node, server.node],
          [f.pid, `${server.pid} · ${server.hostname}`],
          [f.started, <span title={dateTime(server.startedAtMs)}>{ago(server.startedAtMs, nowMs.value)}</span>],
          [f.source, server.source === null ? f.none : <code class="wrap-anywhere">{server.source}</code>],
          [
            f.listening,
            <span class="settings-urls">
              {server.listening.map(({ server: name, url }) => (
                <span key={`${name}${url}`}>
                  <span class="faint">{name}</span> <code>{url}</code>
                </span>
              ))}
            </span>,
          ],
        ]}
      />
    </Card>
  );
}
