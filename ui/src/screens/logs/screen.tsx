import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { LogEntry, Page } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { follow } from '../../api/follow.ts';
import type { ApiError } from '../../api/problem.ts';
import { Button } from '../../design/button.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { SearchField, Segments, Switch } from '../../design/field.tsx';
import { clock, dateTime } from '../../i18n/format.ts';
import { setQuery } from '../../router.ts';
import type { ScreenProps } from '../screen.ts';
import { asApiError } from '../../api/as-api-error.ts';
import { fieldText, type Line, LINES_MAX, linesText, withLines } from './lines.ts';
import './logs.css';
import { logWords } from './words.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof LEVELS)[number];
/** Lines that are asked for at first. */
const FIRST = 500;
/** So near to the end one still follows it, px. */
const NEAR_PX = 40;
/** Typing rests for so long before the stream is begun anew, ms. */
const RESTS_MS = 300;

/** The log as it is written: filtered, searched, paused. */
export default function LogsScreen({ query }: ScreenProps) {
  const t = logWords();
  const level: Level = LEVELS.find((one) => one === query.get('level')) ?? 'info';
  const wanted = query.get('find') ?? '';
  const [typed, setTyped] = useState(wanted);
  const [lines, setLines] = useState<readonly Line[]>([]);
  const [paused, setPaused] = useState(false);
  const [held, setHeld] = useState<readonly LogEntry[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const [isLoaded, setLoaded] = useState(false);
  const [wrap, setWrap] = useState(true);
  const pausing = useRef(false);
  pausing.current = paused;

  useEffect(() => {
    if (typed === wanted) return undefined;
    const timer = setTimeout(() => setQuery({ find: typed }), RESTS_MS);
    return () => clearTimeout(timer);
  }, [typed]);

  useEffect(() => {
    setLines([]);
    setHeld([]);
    setLoaded(false);
    const ends = new AbortController();
    // Lines come in bursts: they are drawn once for all that came in a frame.
    let fresh: LogEntry[] = [];
    let frame = 0;
    const take = (found: readonly LogEntry[]): void => {
      if (pausing.current) setHeld((before) => [...before, ...found].slice(-LINES_MAX));
      else setLines((before) => withLines(before, found));
    };
    const following = follow(
      'logs/events',
      { level, query: wanted },
      {
        up: () => {
          api.get<Page<LogEntry>>('logs', { query: { level, query: wanted, limit: FIRST }, signal: ends.signal }).then(
            ({ items }) => {
              setError(null);
              setLoaded(true);
              take(items.toReversed());
            },
            (failed: unknown) => !ends.signal.aborted && setError(asApiError(failed)),
          );
        },
        down: (failed) => setError(failed),
        event: (name, data) => {
          if (name !== 'line') return;
          fresh.push(data as LogEntry);
          frame ||= requestAnimationFrame(() => {
            frame = 0;
            take(fresh);
            fresh = [];
          });
        },
      },
    );
    return () => {
      ends.abort();
      cancelAnimationFrame(frame);
      following.end();
    };
  }, [level, wanted]);

  const resume = (): void => {
    setPaused(false);
    setLines((before) => withLines(before, held));
    setHeld([]);
  };
  const toggle = (): void => (paused ? resume() : setPaused(true));
  const newest = useRef(toggle);
  newest.current = toggle;
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (event.key !== 'p' || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof Element && event.target.closest('input, textarea, select, dialog') !== null) return;
      event.preventDefault();
      newest.current();
    };
    addEventListener('keydown', keys);
    return () => removeEventListener('keydown', keys);
  }, []);

  const download = (): void => {
    const url = URL.createObjectURL(new Blob([linesText(lines)], { type: 'application/x-ndjson' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = 'windlass-log.ndjson';
    link.click();
    URL.revokeObjectURL(url);
  };

  return (
    <div class="page page-fill">
      <div class="page-head">
        <div class="page-title">
          <h1>{t.title}</h1>
          <span class="page-note">{t.says}</span>
        </div>
        <div class="page-actions">
          <Button icon={paused ? 'play' : 'pause'} aria-keyshortcuts="p" aria-pressed={paused} onClick={toggle}>
            {paused ? t.go : t.pause}
            {held.length > 0 && <span class="badge badge-info">{t.waiting(held.length)}</span>}
          </Button>
          <Button kind="quiet" icon="trash" onClick={() => setLines([])}>
            {t.clear}
          </Button>
          <Button kind="quiet" icon="download" disabled={lines.length === 0} onClick={download}>
            {t.download}
          </Button>
        </div>
      </div>
      <div class="tools">
        <SearchField label={t.find} value={typed} onInput={setTyped} shortcut />
        <Segments
          label={t.level}
          value={level}
          choices={LEVELS.map((one) => [one, t.levels[one]] as const)}
          onChange={(next) => setQuery({ level: next })}
        />
        <Switch label={t.wrap} on={wrap} onChange={setWrap} />
        <span class="faint small">{t.shown(lines.length)}</span>
        {error !== null && isLoaded && <span class="badge badge-warn">{t.lost}</span>}
      </div>
      {error !== null && !isLoaded ? (
        <Refused error={error} />
      ) : (
        <Lines
          lines={lines}
          find={wanted}
          wrap={wrap}
          still={paused}
          empty={
            isLoaded ? (
              <Empty icon="logs" title={wanted === '' ? t.none : t.noneFound}>
                {t.noneText}
              </Empty>
            ) : null
          }
        />
      )}
    </div>
  );
}

function Lines({
  lines,
  find,
  wrap,
  still,
  empty,
}: {
  lines: readonly Line[];
  find: string;
  wrap: boolean;
  still: boolean;
  empty: ComponentChildren;
}) {
  const t = logWords();
  const box = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  useLayoutEffect(() => {
    const element = box.current!;
    if (atEnd && !still) element.scrollTop = element.scrollHeight;
  }, [lines, wrap]);
  return (
    <div class="log-frame">
      <div
        class={`log ${wrap ? 'log-wrap' : ''}`}
        ref={box}
        role="log"
        aria-label={t.lines}
        aria-live="off"
        tabIndex={0}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR_PX);
        }}
      >
        {lines.length === 0 ? empty : lines.map((line) => <LogLine key={line.number} line={line} find={find} />)}
      </div>
      {!atEnd && (
        <Button
          class="log-end"
          small
          icon="down"
          onClick={() => {
            box.current!.scrollTop = box.current!.scrollHeight;
            setAtEnd(true);
          }}
        >
          {t.toEnd}
        </Button>
      )}
    </div>
  );
}

function LogLine({ line, find }: { line: Line; find: string }) {
  const t = logWords();
  const fields = Object.entries(line.fields);
  return (
    <div class={`log-line log-${line.level}`}>
      <time class="log-time" dateTime={new Date(line.atMs).toISOString()} title={dateTime(line.atMs)}>
        {clock(line.atMs)}
      </time>
      <span class="log-level">{t.names[line.level]}</span>
      <span class="log-text">
        <Marked text={line.message} find={find} />
        {fields.map(([name, value]) => (
          <span key={name} class="log-field">
            {' '}
            <span class="log-name">{name}=</span>
            <Marked text={fieldText(value)} find={find} />
          </span>
        ))}
      </span>
    </div>
  );
}

/** The text with what was searched for marked. */
function Marked({ text, find }: { text: string; find: string }) {
  const word = find.trim().toLowerCase();
  if (word === '') return <>{text}</>;
  const parts = [];
  const lower = text.toLowerCase();
  let from = 0;
  // Where letters change their number with their case, places would not fit: then nothing is marked.
  if (lower.length !== text.length) return <>{text}</>;
  for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + word.length)}</mark>);
    from = at + word.length;
  }
  return (
    <>
      {parts}
      {text.slice(from)}
    </>
  );
}
