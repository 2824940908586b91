import { useEffect, useRef, useState } from 'preact/hooks';
import type { ConfigProblem } from '../../../../../src/admin/model.ts';
import { Skeleton } from '../../../design/skeleton.tsx';
import { configurationWords } from '../words.ts';
import type { Vocabulary } from './completion.ts';
import type { TomlView } from './toml-view.ts';

export interface EditorPlace {
  readonly line: number;
  readonly column: number;
  /** Another number goes there again. */
  readonly count: number;
}

/** The editor of a TOML text, whose code comes when it is first needed; without it, the text in a plain field. */
export function TomlEditor({
  label,
  text,
  revision,
  problems,
  readOnly,
  vocabulary,
  place,
  change,
  save,
}: {
  label: string;
  text: string;
  /** Another number puts `text` in the place of what stands there. What is typed comes back as `text` later than the next letter, so that by itself must not. */
  revision: number;
  problems: readonly ConfigProblem[];
  readOnly: boolean;
  vocabulary: Vocabulary | null;
  place: EditorPlace | null;
  change(text: string): void;
  save(): void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<TomlView | null>(null);
  const [state, setState] = useState<'loading' | 'there' | 'failed'>('loading');
  const newest = useRef({ vocabulary, change, save, text });
  newest.current = { vocabulary, change, save, text };

  useEffect(() => {
    let gone = false;
    import('./toml-view.ts').then(
      ({ TomlView: View }) => {
        if (gone) return;
        view.current = new View({
          parent: host.current!,
          text: newest.current.text,
          label,
          readOnly,
          vocabulary: () => newest.current.vocabulary,
          changed: (next) => newest.current.change(next),
          save: () => newest.current.save(),
        });
        setState('there');
      },
      () => !gone && setState('failed'),
    );
    return () => {
      gone = true;
      view.current?.end();
      view.current = null;
    };
  }, []);
  useEffect(() => view.current?.replace(newest.current.text), [revision, state]);
  useEffect(() => view.current?.readOnly(readOnly), [readOnly, state]);
  useEffect(() => view.current?.problems(problems), [problems, state]);
  useEffect(() => {
    if (place !== null && place.line > 0) view.current?.show(place.line, place.column);
  }, [place?.count, place?.line, place?.column, state]);

  if (state === 'failed')
    return (
      <textarea
        class="input textarea mono toml-plain"
        aria-label={label}
        spellcheck={false}
        readOnly={readOnly}
        value={text}
        onInput={(event) => change(event.currentTarget.value)}
      />
    );
  return (
    <>
      {state === 'loading' && (
        <div class="toml-loading" aria-busy="true">
          <p class="soft">{configurationWords().editorLoading}</p>
          <Skeleton lines={8} />
        </div>
      )}
      {/* The class keeps the page's own keys out: what is typed in its shadow seems to come from here. */}
      <div ref={host} class="toml-editor cm-editor" hidden={state === 'loading'} />
    </>
  );
}
