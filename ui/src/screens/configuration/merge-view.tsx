import { useState } from 'preact/hooks';
import { Button } from '../../design/button.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { Segments } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { rawText } from '../../forms/field-value.ts';
import { type MergedPart, mergedKeys, mergedText, mergedValues, textOfParts } from '../../forms/merge.ts';
import type { Values } from '../../forms/values.ts';
import { common } from '../../i18n/common.ts';
import { configurationWords } from './words.ts';

/** An item that two people have changed: key by key, theirs and mine. */
export function MergeItem({
  subject,
  base,
  mine,
  theirs,
  onClose,
  onMerged,
}: {
  subject: string;
  base: Values;
  mine: Values;
  /** Null: they have deleted it. */
  theirs: Values | null;
  onClose(): void;
  onMerged(values: Values): void;
}) {
  const t = configurationWords();
  const [choice, setChoice] = useState<ReadonlyMap<string, 'mine' | 'theirs'>>(new Map());
  const rows = theirs === null ? [] : mergedKeys(base, mine, theirs);
  const conflicts = rows.filter(({ from }) => from === 'conflict').length;
  return (
    <Dialog
      title={t.conflictTitle}
      note={theirs === null ? t.deletedThere : conflicts === 0 ? t.conflictNone : t.conflictText}
      wide
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{common().cancel}</Button>
          <Button kind="primary" icon="check" onClick={() => onMerged(theirs === null ? mine : mergedValues(base, mine, theirs, choice))}>
            {t.takeMerged}
          </Button>
        </>
      }
    >
      <div class="merge" role="table" aria-label={subject}>
        {rows.map(({ key, from, base: was, mine: my, theirs: their }) => (
          <div key={key} class={`merge-key merge-${from}`} role="row">
            <div class="merge-name" role="rowheader">
              <code>{key}</code>
              {from === 'conflict' ? (
                <Segments
                  label={key}
                  value={choice.get(key) ?? 'mine'}
                  choices={[
                    ['mine', t.mine],
                    ['theirs', t.theirs],
                  ]}
                  onChange={(side) => setChoice(new Map(choice).set(key, side))}
                />
              ) : (
                <span class="badge badge-info">{from === 'mine' ? t.mine : from === 'theirs' ? t.theirs : t.both}</span>
              )}
            </div>
            <MergeValue title={t.was} value={was} taken={false} />
            <MergeValue
              title={t.mine}
              value={my}
              taken={from === 'mine' || from === 'both' || (from === 'conflict' && choice.get(key) !== 'theirs')}
            />
            <MergeValue
              title={t.theirs}
              value={their}
              taken={from === 'theirs' || from === 'both' || (from === 'conflict' && choice.get(key) === 'theirs')}
            />
          </div>
        ))}
      </div>
    </Dialog>
  );
}

function MergeValue({ title, value, taken }: { title: string; value: unknown; taken: boolean }) {
  return (
    <div class={`merge-value ${taken ? 'merge-taken' : ''}`} role="cell">
      <span class="merge-title">
        {title}
        {taken && <Icon name="check" size={13} />}
      </span>
      <code class="wrap-anywhere">{value === undefined ? `– ${configurationWords().absent}` : rawText(value)}</code>
    </div>
  );
}

/** A text that two people have changed: their lines and mine, and a choice where they meet. */
export function MergeText({
  file,
  base,
  mine,
  theirs,
  onClose,
  onMerged,
}: {
  file: string;
  base: string;
  mine: string;
  theirs: string;
  onClose(): void;
  onMerged(text: string): void;
}) {
  const t = configurationWords();
  const [parts] = useState(() => mergedText(base, mine, theirs));
  const [choice, setChoice] = useState<ReadonlyMap<number, 'mine' | 'theirs' | 'both'>>(new Map());
  const conflicts = parts.filter(({ from }) => from === 'conflict').length;
  return (
    <Dialog
      title={t.conflictTitle}
      note={`${file}: ${conflicts === 0 ? t.conflictNone : `${t.conflicts(conflicts)}. ${t.conflictText}`}`}
      wide
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{common().cancel}</Button>
          <Button kind="primary" icon="check" onClick={() => onMerged(textOfParts(parts, choice))}>
            {t.takeMerged}
          </Button>
        </>
      }
    >
      <div class="diff">
        {parts.map((part, i) => (
          <Part
            key={i}
            part={part}
            chosen={choice.get(i) ?? 'both'}
            choose={(side) => setChoice(new Map(choice).set(i, side))}
            first={i === 0}
            last={i === parts.length - 1}
          />
        ))}
      </div>
    </Dialog>
  );
}

/** Lines that stay and are shown around those that do not. */
const CONTEXT = 3;

function Part({
  part,
  chosen,
  choose,
  first,
  last,
}: {
  part: MergedPart;
  chosen: 'mine' | 'theirs' | 'both';
  choose: (side: 'mine' | 'theirs' | 'both') => void;
  first: boolean;
  last: boolean;
}) {
  const t = configurationWords();
  if (part.from === 'base') {
    const head = first ? [] : part.lines.slice(0, CONTEXT);
    const tail = last ? [] : part.lines.slice(Math.max(head.length, part.lines.length - CONTEXT));
    const left = part.lines.length - head.length - tail.length;
    return (
      <div class="diff-hunk">
        <Lines kind="same" lines={head} />
        {left > 0 && <div class="diff-skip">{t.moreLines(left)}</div>}
        <Lines kind="same" lines={tail} />
      </div>
    );
  }
  if (part.from !== 'conflict')
    return (
      <div class="diff-hunk">
        <div class="merge-who">{part.from === 'mine' ? t.mine : part.from === 'theirs' ? t.theirs : t.both}</div>
        <Lines kind="added" lines={part.lines} />
      </div>
    );
  return (
    <div class="merge-conflict">
      <div class="row spread">
        <span class="badge badge-warn">{t.conflicts(1)}</span>
        <Segments
          label={t.conflicts(1)}
          value={chosen}
          choices={[
            ['mine', t.mine],
            ['theirs', t.theirs],
            ['both', t.both],
          ]}
          onChange={choose}
        />
      </div>
      {(['mine', 'theirs'] as const).map((side) => (
        <div key={side} class={`diff-hunk ${chosen === side || chosen === 'both' ? '' : 'merge-left'}`}>
          <div class="merge-who">{t[side]}</div>
          <Lines kind="added" lines={part[side]} />
        </div>
      ))}
    </div>
  );
}

function Lines({ kind, lines }: { kind: 'same' | 'added'; lines: readonly string[] }) {
  return (
    <>
      {lines.map((line, i) => (
        <div key={i} class={`diff-line diff-${kind}`}>
          <span class="diff-mark" aria-hidden="true">
            {kind === 'added' ? '+' : ' '}
          </span>
          <code class="diff-text">{line === '' ? ' ' : line}</code>
        </div>
      ))}
    </>
  );
}
