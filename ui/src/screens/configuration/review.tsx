import { useEffect, useState } from 'preact/hooks';
import type { ConfigChange, ConfigConflict, ConfigProblem, ConfigVerdict } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { asApiError } from '../../api/as-api-error.ts';
import type { ApiError } from '../../api/problem.ts';
import { Button } from '../../design/button.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { ProblemText } from '../../design/empty.tsx';
import { TextField } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { toast } from '../../design/toast.tsx';
import { common } from '../../i18n/common.ts';
import { DiffView } from './diff-view.tsx';
import { ProblemList } from './problem-list.tsx';
import { configurationWords } from './words.ts';

/** What changes in the files and what the gateway thinks of it, before anything is written; then saving it. */
export function Review({
  changes,
  etag,
  title,
  onClose,
  onSaved,
  onConflict,
  onProblem,
}: {
  changes: readonly ConfigChange[];
  /** Of the configuration that the changes were made to. */
  etag: string;
  title?: string;
  onClose(): void;
  onSaved(verdict: ConfigVerdict): void;
  /** Somebody else was faster: what stands there now. */
  onConflict(conflict: ConfigConflict): void;
  /** Goes to the place of a problem. */
  onProblem?: (problem: ConfigProblem) => void;
}) {
  const t = configurationWords();
  const [verdict, setVerdict] = useState<ConfigVerdict | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [note, setNote] = useState('');
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(0);

  useEffect(() => {
    const ends = new AbortController();
    setError(null);
    api.post<ConfigVerdict>('config/check', { changes }, { signal: ends.signal }).then(
      (found) => setVerdict(found),
      (failed: unknown) => !ends.signal.aborted && setError(asApiError(failed)),
    );
    return () => ends.abort();
  }, [asked]);

  const save = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      const saved = await api.post<ConfigVerdict>('config/apply', note.trim() === '' ? { changes } : { changes, note: note.trim() }, {
        ifMatch: etag,
      });
      toast({ tone: saved.ok ? 'good' : 'bad', text: saved.ok ? t.saved : t.savedNotApplied });
      onSaved(saved);
    } catch (failed) {
      const known = asApiError(failed);
      const { etag: now, files, problems } = known.more;
      if (known.status === 412 && typeof now === 'string' && Array.isArray(files)) onConflict({ etag: now, files });
      else if (known.status === 422 && Array.isArray(problems))
        setVerdict({ ok: false, problems: problems as ConfigProblem[], diff: verdict?.diff ?? '', etag });
      else setError(known);
    } finally {
      setBusy(false);
    }
  };

  const isEmpty = verdict !== null && verdict.diff === '' && verdict.problems.every(({ level }) => level === 'warning');
  return (
    <Dialog
      title={title ?? t.reviewTitle}
      note={t.reviewText}
      wide
      closable={!busy}
      onClose={onClose}
      footer={
        <>
          <Button disabled={busy} onClick={onClose}>
            {common().cancel}
          </Button>
          <Button kind="primary" icon="check" busy={busy} disabled={verdict === null || !verdict.ok || isEmpty} onClick={() => void save()}>
            {t.saveNow}
          </Button>
        </>
      }
    >
      <div class="stack review">
        {error !== null && (
          <div class="note note-bad" role="alert">
            <Icon name="error" />
            <div class="note-text">
              <ProblemText error={error} />
            </div>
            {verdict === null && (
              <Button small icon="refresh" onClick={() => setAsked(asked + 1)}>
                {common().retry}
              </Button>
            )}
          </div>
        )}
        {verdict === null && error === null && (
          <div aria-busy="true">
            <p class="soft">{t.checking}</p>
            <Skeleton lines={4} />
          </div>
        )}
        {verdict !== null && (
          <>
            <div class={`note ${verdict.ok ? 'note-good' : 'note-bad'}`} role="status">
              <Icon name={verdict.ok ? 'check' : 'error'} />
              <span class="note-text">{isEmpty ? t.nothingChanges : verdict.ok ? t.reviewGood : t.reviewBad}</span>
            </div>
            {onProblem === undefined ? <ProblemList problems={verdict.problems} /> : <ProblemList problems={verdict.problems} onShow={onProblem} />}
            {verdict.diff !== '' && <DiffView diff={verdict.diff} />}
            {verdict.ok && !isEmpty && <TextField label={t.note} value={note} onInput={setNote} maxLength={500} />}
          </>
        )}
      </div>
    </Dialog>
  );
}
