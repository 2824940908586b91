import { Card } from '../../design/card.tsx';
import { Chart } from '../../design/chart.tsx';
import { bytes, compact, duration, rate } from '../../i18n/format.ts';
import { ticks } from '../../live/store.ts';
import { texts } from './texts.ts';

const SPAN_MS = 300_000;

/** Five minutes of everything that a tick tells. */
export function Charts() {
  const t = texts().charts;
  const all = ticks.value;
  const times = all.map(({ atMs }) => atMs);
  return (
    <div class="charts">
      <Card title={t.requests}>
        <Chart
          label={t.requests}
          timesMs={times}
          spanMs={SPAN_MS}
          format={rate}
          least={4}
          stacked
          series={[
            { name: '2xx', colour: 1, values: all.map(({ byClass }) => byClass['2xx']) },
            { name: '3xx', colour: 2, values: all.map(({ byClass }) => byClass['3xx']) },
            { name: '4xx', colour: 3, values: all.map(({ byClass }) => byClass['4xx']) },
            { name: '5xx', colour: 4, values: all.map(({ byClass }) => byClass['5xx']) },
          ]}
        />
      </Card>
      <Card title={t.latency}>
        <Chart
          label={t.latency}
          timesMs={times}
          spanMs={SPAN_MS}
          format={duration}
          series={[
            { name: 'p50', colour: 2, values: all.map(({ p50Ms }) => p50Ms) },
            { name: 'p95', colour: 5, values: all.map(({ p95Ms }) => p95Ms) },
            { name: 'p99', colour: 3, values: all.map(({ p99Ms }) => p99Ms) },
          ]}
        />
      </Card>
      <Card title={t.errors}>
        <Chart
          label={t.errors}
          timesMs={times}
          spanMs={SPAN_MS}
          format={rate}
          stacked
          least={4}
          series={[
            { name: t.client, colour: 3, values: all.map(({ byClass }) => byClass['4xx']) },
            { name: t.server, colour: 4, values: all.map(({ byClass }) => byClass['5xx']) },
          ]}
        />
      </Card>
      <Card title={t.queue}>
        <Chart
          label={t.queue}
          timesMs={times}
          spanMs={SPAN_MS}
          format={compact}
          least={4}
          series={[{ name: t.waiting, colour: 3, values: all.map(({ queue }) => queue), filled: true }]}
        />
      </Card>
      <Card title={t.slots}>
        <Chart
          label={t.slots}
          timesMs={times}
          spanMs={SPAN_MS}
          format={compact}
          least={4}
          stacked
          series={[
            { name: t.taken, colour: 2, values: all.map(({ slots, slotsFree }) => slots - slotsFree) },
            { name: t.free, colour: 1, values: all.map(({ slotsFree }) => slotsFree) },
          ]}
        />
      </Card>
      <Card title={t.bytes}>
        <Chart
          label={t.bytes}
          timesMs={times}
          spanMs={SPAN_MS}
          format={bytes}
          series={[
            { name: t.in, colour: 5, values: all.map(({ bytesInPerSecond }) => bytesInPerSecond) },
            { name: t.out, colour: 6, values: all.map(({ bytesOutPerSecond }) => bytesOutPerSecond), filled: true },
          ]}
        />
      </Card>
    </div>
  );
}
