import { useState } from 'preact/hooks';
import type { ConfigVersion, ConfigVersionDetail, Page } from '../../../../src/admin/model.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { confirm } from '../../design/confirm.tsx';
import { CopyButton } from '../../design/copy.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { Tabs } from '../../design/tabs.tsx';
import { ago, dateTime } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { nowMs } from '../../live/store.ts';
import { go, href } from '../../router.ts';
import type { Config } from './config.ts';
import { DiffView } from './diff-view.tsx';
import { configurationWords } from './words.ts';

/** More names would make a line a paragraph. */
const CHANGED_SHOWN = 6;

/** What the configuration was, what each version changed, and the way back. */
export function HistoryPage({ config, id }: { config: Config; id: string }) {
  const t = configurationWords();
  const { data, error, reload } = useLoad((signal) => api.get<Page<ConfigVersion>>('config/history', { signal }), 'history', { on: ['config'] });
  return (
    <div class="config-page">
      <header class="config-head">
        <div class="grow">
          <h2 class="config-title">{t.history}</h2>
          <p class="soft">{t.historyEmptyText}</p>
        </div>
      </header>
      <Card flush>
        {data === undefined ? (
          error === null ? (
            <Skeleton lines={5} />
          ) : (
            <Refused error={error} retry={reload} />
          )
        ) : data.items.length === 0 ? (
          <Empty icon="history" title={t.historyEmpty}>
            {t.historyEmptyText}
          </Empty>
        ) : (
          <VersionList versions={data.items} serving={config.info.appliedEtag} chosen={id} />
        )}
      </Card>
      {id !== '' && <Version key={id} config={config} id={id} />}
    </div>
  );
}

/** Versions in their order, each with the way to what it changed. `serving`: the etag of the one that serves. */
export function VersionList({ versions, serving, chosen }: { versions: readonly ConfigVersion[]; serving: string; chosen: string }) {
  const t = configurationWords();
  const serves = versions.find(({ etag }) => etag === serving);
  return (
    <ol class="versions">
      {versions.map((version) => (
        <li key={version.id}>
          <a class="version" href={href('configuration', ['history', version.id])} aria-current={version.id === chosen ? 'true' : undefined}>
            <span class="version-dot" aria-hidden="true" />
            <span class="grow">
              <span class="row row-wrap">
                <strong>{version.by === 'file' ? t.byFile : version.by}</strong>
                <span class="faint small">{t.versionNumber(Number(version.id))}</span>
                {version === serves && <Badge tone="good">{t.servesNow}</Badge>}
                {version.current && version !== serves && <Badge tone="warn">{t.onDisk}</Badge>}
                {!version.served && <Badge tone="warn">{t.notServed}</Badge>}
              </span>
              {version.note !== '' && <span class="version-note wrap-anywhere">{version.note}</span>}
              {version.changed.length > 0 && (
                <span class="version-note mono small wrap-anywhere">
                  {version.changed.slice(0, CHANGED_SHOWN).join(', ')}
                  {version.changed.length > CHANGED_SHOWN && ' …'}
                </span>
              )}
            </span>
            <span class="version-when" title={dateTime(version.atMs)}>
              {ago(version.atMs, nowMs.value)}
              <span class="faint small">{dateTime(version.atMs)}</span>
            </span>
          </a>
        </li>
      ))}
    </ol>
  );
}

function Version({ config, id }: { config: Config; id: string }) {
  const t = configurationWords();
  const { data, error, reload } = useLoad((signal) => api.get<ConfigVersionDetail>(at`config/history/${id}`, { signal }), id);
  const [tab, setTab] = useState<'changed' | 'restore' | 'text'>('changed');
  const [busy, run] = useAction();
  const close = (): void => go('configuration', 'history');
  const restore = async (): Promise<void> => {
    if ((await confirm({ title: t.restoreTitle, text: t.restoreText, yes: t.restore })) === null) return;
    if (await run(() => api.post(at`config/history/${id}/restore`), t.restored)) {
      config.reload();
      close();
    }
  };
  return (
    <Dialog
      side
      wide
      title={data === undefined ? t.history : dateTime(data.atMs)}
      {...(data === undefined
        ? {}
        : { note: `${t.versionNumber(Number(data.id))} · ${data.by === 'file' ? t.byFile : data.by}${data.note === '' ? '' : ` · ${data.note}`}` })}
      onClose={close}
      footer={
        data !== undefined && may('admin') && !data.current && config.info.fixed === '' ? (
          <Button kind="primary" icon="history" busy={busy} onClick={() => void restore()}>
            {t.restore}
          </Button>
        ) : undefined
      }
    >
      {data === undefined ? (
        error === null ? (
          <Skeleton lines={8} />
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : (
        <Tabs
          label={t.history}
          value={tab}
          onChange={setTab}
          tabs={[
            ['changed', t.whatChanged],
            ['restore', t.whatRestore],
            ['text', t.wholeText],
          ]}
        >
          {tab === 'changed' && <DiffView diff={data.diff} />}
          {tab === 'restore' && <DiffView diff={data.restoreDiff} />}
          {tab === 'text' &&
            data.files.map((file) => (
              <div key={file.name} class="file-text">
                <div class="row spread">
                  <strong class="mono">{file.name}</strong>
                  <CopyButton text={file.text} />
                </div>
                <pre tabIndex={0}>{file.text}</pre>
              </div>
            ))}
        </Tabs>
      )}
    </Dialog>
  );
}
