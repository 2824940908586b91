import { useEffect, useMemo, useState } from 'preact/hooks';
import type { ConfigConflict, ConfigProblem, ConfigVerdict } from '../../../../src/admin/model.ts';
import { asApiError } from '../../api/as-api-error.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import type { ApiError } from '../../api/problem.ts';
import { Button } from '../../design/button.tsx';
import { Refused } from '../../design/empty.tsx';
import { Select } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { useLoad } from '../../live/load.ts';
import { go, leaveGuard } from '../../router.ts';
import { type Config, unsaved } from './config.ts';
import type { Schema, Vocabulary } from './editor/completion.ts';
import { type EditorPlace, TomlEditor } from './editor/toml-editor.tsx';
import { mayLeave } from './item-page.tsx';
import { MergeText } from './merge-view.tsx';
import { ProblemList, problemCounts } from './problem-list.tsx';
import { Review } from './review.tsx';
import { configurationWords } from './words.ts';

/** Typing rests for so long before the gateway is asked what it thinks, ms. */
const RESTS_MS = 350;

/** The files as text. */
export function FilesPage({ config, name, query }: { config: Config; name: string; query: URLSearchParams }) {
  const t = configurationWords();
  const { files } = config.info;
  const file = files.some((one) => one.name === name) ? name : (files[0]?.name ?? '');
  const line = Number(query.get('line') ?? 0);
  const column = Number(query.get('column') ?? 1);
  return (
    <div class="config-page config-files">
      <header class="config-head">
        <div class="grow">
          <h2 class="config-title">{t.files}</h2>
          <p class="soft">{may('admin') ? t.secretsSeen : t.secretsHidden}</p>
        </div>
        {files.length > 1 && (
          <Select
            label={t.file}
            hideLabel
            value={file}
            choices={files.map((one) => [one.name, one.name] as const)}
            onChange={(next) => go('configuration', ['files', next])}
          />
        )}
      </header>
      <FileEditor key={file} config={config} file={file} line={line} column={column} />
    </div>
  );
}

interface Base {
  readonly text: string;
  /** Of the configuration when the text was fetched. */
  readonly etag: string;
}

function FileEditor({ config, file, line, column }: { config: Config; file: string; line: number; column: number }) {
  const t = configurationWords();
  const [base, setBase] = useState<Base | null>(null);
  const [{ text, revision }, setState] = useState({ text: '', revision: 0 });
  const [error, setError] = useState<ApiError | null>(null);
  const [asked, setAsked] = useState(0);
  const [verdict, setVerdict] = useState<ConfigVerdict | null>(null);
  const [dialog, setDialog] = useState<'review' | 'merge' | null>(null);
  const [theirs, setTheirs] = useState<Base | null>(null);
  const [place, setPlace] = useState<EditorPlace | null>(line > 0 ? { line, column, count: 0 } : null);
  /** What was not typed here. */
  const replaceText = (next: string): void => setState((before) => ({ text: next, revision: before.revision + 1 }));
  const typeText = (next: string): void => setState((before) => ({ ...before, text: next }));
  const mayChange = may('admin') && config.info.fixed === '';
  const isDirty = base !== null && text !== base.text;
  const vocabulary = useVocabulary(config);

  useEffect(() => {
    if (line > 0) setPlace((before) => ({ line, column, count: (before?.count ?? 0) + 1 }));
  }, [line, column]);

  useEffect(() => {
    // What somebody is writing stays, whatever happens to the file; saving brings both together.
    if (isDirty) return undefined;
    const ends = new AbortController();
    api.text(at`config/files/${file}`, { signal: ends.signal }).then(
      (fresh) => {
        setError(null);
        setBase({ text: fresh, etag: config.info.etag });
        replaceText(fresh);
      },
      (failed: unknown) => !ends.signal.aborted && setError(asApiError(failed)),
    );
    return () => ends.abort();
  }, [config.info.etag, asked]);

  useEffect(() => {
    unsaved.value = isDirty ? file : '';
    leaveGuard.value = isDirty ? mayLeave : null;
  }, [isDirty]);
  useEffect(
    () => () => {
      unsaved.value = '';
      leaveGuard.value = null;
    },
    [],
  );

  useEffect(() => {
    if (!isDirty) {
      setVerdict(null);
      return undefined;
    }
    const ends = new AbortController();
    const timer = setTimeout(() => {
      api.post<ConfigVerdict>('config/check', { changes: [{ file, text }] }, { signal: ends.signal }).then(
        (found) => setVerdict(found),
        // What is wrong with the link is said by the page's banner; the next change asks again.
        () => {},
      );
    }, RESTS_MS);
    return () => {
      clearTimeout(timer);
      ends.abort();
    };
  }, [text, base]);

  const problems = isDirty ? (verdict?.problems ?? NONE) : config.info.problems;
  const ours = useMemo(() => problems.filter((problem) => problem.file === '' || problem.file === file), [problems, file]);
  const show = (problem: ConfigProblem): void => {
    setDialog(null);
    if (problem.file !== '' && problem.file !== file) go('configuration', ['files', problem.file], { line: String(problem.line) });
    else setPlace((before) => ({ line: problem.line, column: problem.column, count: (before?.count ?? 0) + 1 }));
  };
  const conflict = (found: ConfigConflict): void => {
    const now = found.files.find((one) => one.name === file)?.text ?? '';
    setTheirs({ text: now, etag: found.etag });
    setDialog('merge');
  };

  if (error !== null && base === null) return <Refused error={error} retry={() => setAsked(asked + 1)} />;
  if (base === null) return <Skeleton lines={12} />;
  const errors = ours.filter(({ level }) => level === 'error').length;
  return (
    <>
      <div class={`toml-frame ${errors > 0 ? 'toml-frame-bad' : ''}`}>
        <TomlEditor
          label={t.editorLabel(file)}
          text={text}
          problems={ours}
          readOnly={!mayChange}
          vocabulary={vocabulary}
          place={place}
          revision={revision}
          change={typeText}
          save={() => isDirty && setDialog('review')}
        />
        {ours.length > 0 && (
          <div class="toml-problems">
            <ProblemList problems={ours} onShow={show} />
          </div>
        )}
        <div class="toml-status">
          <span class={errors > 0 ? 'field-error' : 'soft'} role="status">
            <Icon name={errors > 0 ? 'error' : ours.length > 0 ? 'warning' : 'check'} size={15} />{' '}
            {ours.length === 0 ? t.noProblems : problemCounts(ours)}
          </span>
          <span class="faint small toml-keys">{t.editorKeys}</span>
        </div>
      </div>
      {mayChange && (
        <div class="save-bar" role="region" aria-label={t.review}>
          <span class="grow">
            {isDirty ? (
              <strong>{verdict === null || verdict.diff === '' ? file : countsOf(verdict.diff)}</strong>
            ) : (
              <span class="soft">{t.lastSaved}</span>
            )}
          </span>
          <Button kind="quiet" disabled={!isDirty} onClick={() => replaceText(base.text)}>
            {t.discard}
          </Button>
          <Button kind="primary" disabled={!isDirty} onClick={() => setDialog('review')}>
            {t.review}
          </Button>
        </div>
      )}
      {dialog === 'review' && (
        <Review
          changes={[{ file, text }]}
          etag={base.etag}
          onClose={() => setDialog(null)}
          onProblem={show}
          onSaved={(saved) => {
            setDialog(null);
            setBase({ text, etag: saved.etag });
            config.reload();
          }}
          onConflict={conflict}
        />
      )}
      {dialog === 'merge' && theirs !== null && (
        <MergeText
          file={file}
          base={base.text}
          mine={text}
          theirs={theirs.text}
          onClose={() => setDialog(null)}
          onMerged={(merged) => {
            setBase(theirs);
            replaceText(merged);
            setDialog('review');
          }}
        />
      )}
    </>
  );
}

const NONE: readonly ConfigProblem[] = [];

function countsOf(diff: string): string {
  const lines = diff.split('\n');
  const added = lines.filter((line) => line.startsWith('+') && !line.startsWith('+++')).length;
  const removed = lines.filter((line) => line.startsWith('-') && !line.startsWith('---')).length;
  return configurationWords().diffLines(added, removed);
}

/** What completion knows: the schema of files, and the names that stand in these. */
function useVocabulary(config: Config): Vocabulary | null {
  const { data } = useLoad((signal) => api.get<Schema>('config/json-schema', { signal }), 'json-schema');
  return useMemo(
    () =>
      data === undefined
        ? null
        : {
            schema: data,
            sections: config.sections,
            names: Object.fromEntries(Object.entries(config.info.sections).map(([section, items]) => [section, items.map(({ name }) => name)])),
          },
    [data, config.info, config.sections],
  );
}
