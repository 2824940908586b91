import type { DiffHunk, DiffLine } from '../../forms/line-diff.ts';
import { unifiedDiff } from '../../forms/line-diff.ts';
import { configurationWords } from './words.ts';

/** A unified difference as lines with their numbers; what is added and removed is said in words, too. */
export function DiffView({ diff, label }: { diff: string; label?: string }) {
  const t = configurationWords();
  const hunks = unifiedDiff(diff);
  if (hunks.length === 0) return <p class="soft">{t.noDifference}</p>;
  const lines = hunks.flatMap((hunk) => hunk.lines);
  const added = lines.filter(({ kind }) => kind === 'added').length;
  const removed = lines.filter(({ kind }) => kind === 'removed').length;
  return (
    <div class="diff" role="group" aria-label={label ?? t.diff}>
      <p class="unseen">{t.diffLines(added, removed)}</p>
      {hunks.map((hunk, i) => (
        <Hunk key={i} hunk={hunk} head={i === 0 || hunks[i - 1]!.file !== hunk.file} />
      ))}
    </div>
  );
}

function Hunk({ hunk, head }: { hunk: DiffHunk; head: boolean }) {
  return (
    <>
      {head && <div class="diff-file">{hunk.file}</div>}
      <div class={`diff-hunk ${head ? '' : 'diff-gap'}`} tabIndex={0} role="region" aria-label={hunk.file}>
        {hunk.lines.map((line, i) => (
          <Line key={i} line={line} />
        ))}
      </div>
    </>
  );
}

function Line({ line }: { line: DiffLine }) {
  const t = configurationWords();
  return (
    <div class={`diff-line diff-${line.kind}`}>
      <span class="diff-number" aria-hidden="true">
        {line.before === 0 ? '' : line.before}
      </span>
      <span class="diff-number" aria-hidden="true">
        {line.after === 0 ? '' : line.after}
      </span>
      <span class="diff-mark">
        {line.kind === 'added' ? '+' : line.kind === 'removed' ? '−' : ' '}
        {line.kind !== 'same' && <span class="unseen">{line.kind === 'added' ? t.added : t.removed}</span>}
      </span>
      <code class="diff-text">{line.text === '' ? ' ' : line.text}</code>
    </div>
  );
}
