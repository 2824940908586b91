import type { TrafficStory } from '../../../../src/admin/model.ts';
import { duration, percent } from '../../i18n/format.ts';
import { texts } from './texts.ts';

type Span = TrafficStory['spans'][number];

/** Marks of the time axis. */
const MARKS = [0, 0.25, 0.5, 0.75, 1];
/** Those that hold no others: time is spent in them, not passed on. */
const LEAVES: ReadonlySet<Span['name']> = new Set(['plugins', 'queue', 'connect', 'tls', 'upstream', 'answer']);

/** Where the time of a request went, from its first byte on. `agent`: what its agent is called. */
export function Waterfall({ story: { spans, totalMs, agent: id }, agent }: { story: TrafficStory; agent: string }) {
  const t = texts().story;
  const end = Math.max(totalMs, ...spans.map(({ startMs, ms }) => startMs + ms), 0.001);
  const longest = spans.filter(({ name }) => LEAVES.has(name)).toSorted((a, b) => b.ms - a.ms)[0];
  return (
    <section class="story-part">
      <div class="row spread row-wrap">
        <h3>{t.timing}</h3>
        {longest !== undefined && longest.ms > 0 && (
          <span class="soft small">{t.most(t.spans[longest.name], duration(longest.ms), percent(longest.ms / end))}</span>
        )}
      </div>
      <div class="waterfall" role="table" aria-label={t.waterfall}>
        <div class="waterfall-axis" aria-hidden="true">
          {MARKS.map((mark) => (
            <span key={mark} style={{ left: `${mark * 100}%` }}>
              {duration(mark * end)}
            </span>
          ))}
        </div>
        {spans.map((span, i) => (
          <Bar key={i} span={id === '' ? span : { ...span, detail: span.detail.replace(id, agent) }} end={end} />
        ))}
      </div>
    </section>
  );
}

function Bar({ span: { name, startMs, ms, detail }, end }: { span: Span; end: number }) {
  const t = texts().story;
  const left = Math.min(1, startMs / end) * 100;
  const width = Math.min(100 - left, (ms / end) * 100);
  // Beside the bar where there is room, else before it.
  const before = left + width > 82;
  return (
    <div class="waterfall-row" role="row">
      <span class="waterfall-name" role="rowheader">
        <span>{t.spans[name]}</span>
        <span class="waterfall-detail clip" title={detail}>
          {detail}
        </span>
      </span>
      <span class="waterfall-track" role="cell" aria-label={`${duration(ms)}, ${t.from(duration(startMs))}`}>
        <span class={`waterfall-bar span-${name}`} style={{ left: `${left}%`, width: `max(3px, ${width}%)` }} />
        <span
          class={`waterfall-time tabular ${before ? (left > 18 ? 'time-before' : 'time-inside') : ''}`}
          style={before ? (left > 18 ? { right: `${100 - left}%` } : { right: `${100 - left - width}%` }) : { left: `${left + width}%` }}
        >
          {duration(ms)}
        </span>
      </span>
    </div>
  );
}
