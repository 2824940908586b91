import type { ComponentChildren } from 'preact';
import type { Tick } from '../../../../src/admin/model.ts';
import { Meter } from '../../design/meter.tsx';
import { Sparkline } from '../../design/sparkline.tsx';
import { bytes, compact, duration, number, percent, rate } from '../../i18n/format.ts';
import { latest, ticks } from '../../live/store.ts';
import { href } from '../../router.ts';
import { texts } from './texts.ts';

/** The sparklines show the last two minutes. */
const SPARK_TICKS = 120;
/** Shares of a single second jump; those of this many seconds do not. */
const SHARE_TICKS = 30;

/** The six numbers that are looked at first. */
export function Tiles() {
  const t = texts().tiles;
  const tick = latest.value;
  const recent = ticks.value.slice(-SPARK_TICKS);
  const line = (value: (one: Tick) => number | null): (number | null)[] => recent.map(value);
  const errors = errorShare(recent.slice(-SHARE_TICKS));
  const taken = tick === null ? 0 : tick.slots - tick.slotsFree;
  return (
    <div class="tiles">
      <Tile
        name={t.requests}
        to={href('traffic')}
        value={tick === null ? '–' : rate(tick.requestsPerSecond)}
        unit={t.perSecond}
        note={tick === null ? '' : t.bytesOut(bytes(tick.bytesOutPerSecond))}
      >
        <Sparkline values={line((one) => one.requestsPerSecond)} series={2} />
      </Tile>
      <Tile
        name={t.latency}
        to={href('traffic', [], { slow: tick === null || tick.p95Ms === null ? undefined : String(Math.round(tick.p95Ms)) })}
        value={tick === null || tick.p95Ms === null ? '–' : duration(tick.p95Ms)}
        note={tick === null || tick.p50Ms === null ? '' : t.median(duration(tick.p50Ms))}
      >
        <Sparkline values={line((one) => one.p95Ms)} series={5} />
      </Tile>
      <Tile
        name={t.errors}
        to={href('traffic', [], { status: '5xx' })}
        tone={errors > 0.01 ? 'bad' : undefined}
        value={percent(errors)}
        note={t.ofRequests}
      >
        <Sparkline values={line((one) => one.byClass['5xx'])} series={4} />
      </Tile>
      <Tile
        name={t.queue}
        to={href('queue')}
        tone={tick !== null && tick.queue > 0 && tick.queueOldestMs > 15_000 ? 'warn' : undefined}
        value={tick === null ? '–' : compact(tick.queue)}
        note={tick === null ? '' : tick.queue > 0 ? t.oldest(duration(tick.queueOldestMs)) : t.nobodyWaits}
      >
        <Sparkline values={line((one) => one.queue)} series={3} />
      </Tile>
      <Tile
        name={t.slots}
        to={href('agents')}
        value={tick === null ? '–' : compact(tick.slotsFree)}
        unit={tick === null ? '' : ` ${t.slotsOf(compact(tick.slots))}`}
        note={tick === null ? '' : tick.slots === 0 ? t.noSlots : t.agents(compact(tick.agents))}
      >
        <span class="tile-meter">
          <Meter used={taken} of={tick?.slots ?? 0} label={`${number(taken)} / ${number(tick?.slots ?? 0)}`} />
        </span>
      </Tile>
      <Tile
        name={t.inFlight}
        to={href('traffic')}
        value={tick === null ? '–' : compact(tick.inFlight)}
        note={tick === null ? '' : t.connections(compact(tick.connections))}
      >
        <Sparkline values={line((one) => one.inFlight)} series={6} />
      </Tile>
    </div>
  );
}

function Tile({
  name,
  value,
  unit,
  note,
  to,
  tone,
  children,
}: {
  name: string;
  value: string;
  unit?: string;
  note: string;
  to: string;
  tone?: 'bad' | 'warn' | undefined;
  children: ComponentChildren;
}) {
  return (
    <a class={`tile ${tone === undefined ? '' : `tile-${tone}`}`} href={to}>
      <span class="tile-name">{name}</span>
      <span class="tile-value">
        {value}
        {unit !== undefined && <span class="tile-unit">{unit}</span>}
      </span>
      <span class="tile-note clip">{note}&nbsp;</span>
      <span class="tile-line">{children}</span>
    </a>
  );
}

function errorShare(recent: readonly Tick[]): number {
  let all = 0;
  let bad = 0;
  for (const { requestsPerSecond, byClass } of recent) {
    all += requestsPerSecond;
    bad += byClass['5xx'];
  }
  return all === 0 ? 0 : bad / all;
}
