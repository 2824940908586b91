import { useId, useState } from 'preact/hooks';
import type { ImportConfig, ImportVerdict } from '../../../../src/admin/model.ts';
import { asApiError } from '../../api/as-api-error.ts';
import { api } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import type { ApiError } from '../../api/problem.ts';
import { useAction } from '../../design/action.ts';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { confirm } from '../../design/confirm.tsx';
import { CopyButton } from '../../design/copy.tsx';
import { ProblemText } from '../../design/empty.tsx';
import { Select } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { toast } from '../../design/toast.tsx';
import { go } from '../../router.ts';
import type { Config } from './config.ts';
import { DiffView } from './diff-view.tsx';
import { ProblemList } from './problem-list.tsx';

import { configurationWords } from './words.ts';

/** All of the configuration out, and another one in: tried before it is taken. */
export function TransferPage({ config }: { config: Config }) {
  const t = configurationWords();
  return (
    <div class="config-page">
      <header class="config-head">
        <h2 class="config-title grow">{t.transfer}</h2>
      </header>
      {!may('admin') && (
        <p class="note note-info">
          <Icon name="info" />
          <span class="note-text">{t.readOnly('admin')}</span>
        </p>
      )}
      <Export />
      {may('admin') && config.info.fixed === '' && <Import config={config} />}
    </div>
  );
}

function Export() {
  const t = configurationWords();
  const [text, setText] = useState<string | null>(null);
  const [busy, run] = useAction();
  const download = async (): Promise<void> => {
    const blob = new Blob([await api.text('config/export')], { type: 'application/toml' });
    const url = URL.createObjectURL(blob);
    const link = document.createElement('a');
    link.href = url;
    link.download = 'windlass.toml';
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <Card title={t.exportTitle}>
      <div class="stack">
        <p class="soft">{t.exportText}</p>
        <div class="row row-wrap">
          <Button icon="download" busy={busy} disabled={!may('admin')} onClick={() => void run(download)}>
            {t.exportButton}
          </Button>
          <Button icon="eye" busy={busy} disabled={!may('admin')} onClick={() => void run(async () => setText(await api.text('config/export')))}>
            {t.exportShow}
          </Button>
          {text !== null && <CopyButton text={text} withText />}
        </div>
        {text !== null && (
          <pre class="text-box" tabIndex={0}>
            {text}
          </pre>
        )}
      </div>
    </Card>
  );
}

function Import({ config }: { config: Config }) {
  const t = configurationWords();
  const [format, setFormat] = useState<ImportConfig['format']>('toml');
  const [text, setText] = useState('');
  const [verdict, setVerdict] = useState<ImportVerdict | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();
  const send = async (dryRun: boolean): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      const found = await api.post<ImportVerdict>('config/import', { text, format, dryRun }, dryRun ? {} : { ifMatch: config.info.etag });
      setVerdict(found);
      if (dryRun) return;
      toast({ text: t.imported });
      config.reload();
      go('configuration');
    } catch (failed) {
      const known = asApiError(failed);
      setError(known);
      if (known.status === 412) config.reload();
    } finally {
      setBusy(false);
    }
  };
  const read = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    setText(await file.text());
    setVerdict(null);
  };
  return (
    <Card title={t.importTitle}>
      <div class="stack">
        <p class="soft">{t.importText}</p>
        <div class="row row-wrap import-tools">
          <Select
            label={t.format}
            hideLabel
            value={format}
            choices={(['toml', 'pingap', 'pi', 'slime'] as const).map((one) => [one, t.formats[one]] as const)}
            onChange={(next) => {
              setFormat(next);
              setVerdict(null);
            }}
          />
          <input
            id={id}
            class="unseen"
            type="file"
            accept=".toml,.conf,.yaml,.yml,.json,text/*"
            onChange={(event) => void read(event.currentTarget.files?.[0])}
          />
          <label for={id} class="button button-plain">
            <Icon name="upload" size={16} />
            {t.chooseFile}
          </label>
        </div>
        <textarea
          class="input textarea mono import-text"
          rows={12}
          spellcheck={false}
          aria-label={t.pasteHere}
          placeholder={t.pasteHere}
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setVerdict(null);
          }}
        />
        <div class="row row-wrap">
          <Button kind={verdict?.ok === true ? 'plain' : 'primary'} busy={busy} disabled={text.trim() === ''} onClick={() => void send(true)}>
            {t.tryIt}
          </Button>
          {verdict?.ok === true && (
            <Button
              kind="primary"
              icon="upload"
              busy={busy}
              onClick={() =>
                void confirm({ title: t.importAsk, text: t.importAskText, yes: t.importNow, danger: true }).then((yes) =>
                  yes === null ? undefined : send(false),
                )
              }
            >
              {t.importNow}
            </Button>
          )}
        </div>
        {error !== null && (
          <div class="note note-bad" role="alert">
            <Icon name="error" />
            <div class="note-text">
              <ProblemText error={error} />
            </div>
          </div>
        )}
        {verdict !== null && (
          <div class="stack" role="status">
            <div class={`note ${verdict.ok ? 'note-good' : 'note-bad'}`}>
              <Icon name={verdict.ok ? 'check' : 'error'} />
              <span class="note-text">{verdict.ok ? t.reviewGood : t.reviewBad}</span>
            </div>
            <ProblemList problems={verdict.problems} onShow={() => {}} />
            {verdict.notes.length > 0 && (
              <div>
                <h3>{t.notes}</h3>
                <ul class="import-notes">
                  {verdict.notes.map((note, i) => (
                    <li key={i}>{note}</li>
                  ))}
                </ul>
              </div>
            )}
            <DiffView diff={verdict.diff} />
            {format !== 'toml' && (
              <details>
                <summary>{t.became}</summary>
                <pre class="text-box" tabIndex={0}>
                  {verdict.text}
                </pre>
              </details>
            )}
          </div>
        )}
      </div>
    </Card>
  );
}
