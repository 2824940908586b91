import type { ConfigVersion, Page } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { confirm } from '../../design/confirm.tsx';
import { Icon } from '../../design/icon.tsx';
import { common } from '../../i18n/common.ts';
import { ago } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { nowMs } from '../../live/store.ts';
import { href } from '../../router.ts';
import { type Config, problemsOf } from './config.ts';
import { VersionList } from './history-page.tsx';
import { sectionTitle } from './item-page.tsx';
import { ProblemList, problemCounts } from './problem-list.tsx';
import { configurationWords } from './words.ts';

/** Whether the files serve, what is wrong with them, and the way to everything. */
export function Home({ config }: { config: Config }) {
  const t = configurationWords();
  const { info, sections } = config;
  return (
    <div class="config-page">
      <Applied config={config} />
      {info.problems.length > 0 && (
        <Card title={t.problems} note={problemCounts(info.problems)}>
          <ProblemList problems={info.problems} />
        </Card>
      )}
      <ul class="config-cards">
        {sections.map(({ section, named }) => {
          const items = info.sections[section] ?? [];
          const wrong = items.flatMap((item) => problemsOf(info.problems, section, item.name)).filter(({ level }) => level === 'error').length;
          return (
            <li key={section}>
              <a class="config-card" href={href('configuration', section)}>
                <span class="row spread">
                  <strong>{sectionTitle(section)}</strong>
                  {wrong > 0 && <Badge tone="bad">{t.problem(wrong)}</Badge>}
                </span>
                <span class="config-count">{named ? t.items(items.length) : t.set(Object.keys(items[0]?.values ?? {}).length)}</span>
                <span class="soft small">{t.says[section] ?? ''}</span>
              </a>
            </li>
          );
        })}
      </ul>
      <Recent serving={config.info.appliedEtag} />
    </div>
  );
}

/** Versions shown here; the others stand in the history. */
const RECENT = 5;

/** What was changed last, and the way to take it back. */
function Recent({ serving }: { serving: string }) {
  const t = configurationWords();
  const { data } = useLoad((signal) => api.get<Page<ConfigVersion>>('config/history', { signal }), 'history', { on: ['config'] });
  if (data === undefined || data.items.length === 0) return null;
  return (
    <Card flush title={t.history} actions={data.items.length > RECENT && <a href={href('configuration', 'history')}>{common().all}</a>}>
      <VersionList versions={data.items.slice(0, RECENT)} serving={serving} chosen="" />
    </Card>
  );
}

/** One line that says whether what the files say is what serves. */
export function Applied({ config }: { config: Config }) {
  const t = configurationWords();
  const { info } = config;
  const [busy, run] = useAction();
  const serves = info.ok && info.etag === info.appliedEtag;
  const tone = serves ? 'good' : info.ok ? 'warn' : 'bad';
  return (
    <div class={`applied applied-${tone}`} role="status">
      <span class="applied-mark">
        <Icon name={serves ? 'check' : info.ok ? 'clock' : 'error'} size={18} />
      </span>
      <div class="grow">
        <p class="strong">{serves ? t.status.serving : info.ok ? t.status.notApplied : t.status.broken}</p>
        <p class="soft small">
          {t.status.servingSince(ago(info.appliedAtMs, nowMs.value))} {t.status.version}{' '}
          <code title={info.appliedEtag}>{info.appliedEtag.slice(0, 10)}</code>
          {info.fixed !== '' && ` · ${t.status.fixed} ${info.fixed}`}
        </p>
      </div>
      <span class="row row-wrap">
        {!info.ok && may('admin') && (
          <Button
            small
            icon="history"
            busy={busy}
            onClick={() =>
              void confirm({ title: t.status.rollbackAsk, text: t.status.rollbackText, yes: t.status.rollback }).then((yes) => {
                if (yes !== null) void run(() => api.post('config/rollback'), t.status.rolledBack).then(() => config.reload());
              })
            }
          >
            {t.status.rollback}
          </Button>
        )}
        {may('operate') && (
          <Button
            small
            kind="quiet"
            icon="refresh"
            busy={busy}
            onClick={() => void run(() => api.post('config/reload'), t.status.reloaded).then(() => config.reload())}
          >
            {t.status.reload}
          </Button>
        )}
      </span>
    </div>
  );
}
