import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { colour, dark } from './theme.ts';

export interface Series {
  readonly name: string;
  /** Which colour of the tokens. */
  readonly colour: 1 | 2 | 3 | 4 | 5 | 6;
  readonly values: readonly (number | null)[];
  /** The area below is filled. */
  readonly filled?: boolean;
}

/** Lines over time. With `stacked` each stands on those before it. `timesMs` and all values are of one length. */
export function Chart({
  label,
  timesMs,
  series,
  format,
  height = 150,
  stacked = false,
  least = 0,
  spanMs,
}: {
  label: string;
  timesMs: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  height?: number;
  stacked?: boolean;
  /** The axis reaches up to this at least, so that one of something does not look like much. */
  least?: number;
  /** The width of the window; what is younger than that fills it from the right. */
  spanMs: number;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const legend = useRef<HTMLDivElement>(null);
  const isDark = dark.value;
  const names = series.map(({ name }) => name).join('\n');
  const newest = useRef({ series, format, stacked, least });
  newest.current = { series, format, stacked, least };

  const data = (): uPlot.AlignedData => {
    const lines = stacked ? stack(series) : series.map(({ values }) => [...values]);
    return [timesMs.map((ms) => ms / 1_000), ...lines] as unknown as uPlot.AlignedData;
  };

  useEffect(() => {
    const element = box.current!;
    const faint = colour('text-faint');
    const grid = colour('line');
    const order = stacked ? series.toReversed() : series;
    const say = (at: number | null): void => {
      const now = newest.current.series;
      const cells = legend.current?.querySelectorAll('.chart-value') ?? [];
      for (const [i, cell] of cells.entries()) {
        const values = now[i]?.values ?? [];
        const value = at === null ? values.at(-1) : values[at];
        cell.textContent = value === null || value === undefined ? '–' : newest.current.format(value);
      }
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height,
        padding: [8, 12, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false }, sync: { key: 'time' } },
        scales: {
          x: { time: true, range: () => windowOf(newest.current.series.length, element) },
          y: { range: (_plot, _low, high) => [0, Math.max(newest.current.least, high > 0 ? high * 1.12 : 1)] },
        },
        axes: [
          {
            stroke: faint,
            font: FONT,
            size: 26,
            gap: 4,
            space: 44,
            incrs: [60, 120, 300],
            grid: { show: false },
            ticks: { show: false },
            values: (_plot, splits) =>
              splits.map((seconds) => new Date(seconds * 1_000).toLocaleTimeString([], { hour12: false, hour: '2-digit', minute: '2-digit' })),
          },
          {
            stroke: faint,
            font: FONT,
            size: 52,
            gap: 6,
            space: 32,
            // What is counted has no halves.
            ...(least > 0 ? { incrs: WHOLE } : {}),
            grid: { stroke: grid, width: 1 },
            ticks: { show: false },
            values: (_plot, splits) => splits.map((value) => newest.current.format(value)),
          },
        ],
        series: [
          {},
          ...order.map((one) => {
            const stroke = colour(`series-${one.colour}`);
            const fill = one.filled === true || stacked ? stroke.replace(/^rgb\((.+)\)$/, stacked ? 'rgba($1, 0.5)' : 'rgba($1, 0.12)') : undefined;
            return { stroke, width: stacked ? 1.2 : 1.6, ...(fill === undefined ? {} : { fill }), points: { show: false }, spanGaps: false };
          }),
        ],
        // Each area reaches down to the next one only, so that their colours stay what the legend says.
        ...(stacked ? { bands: order.slice(1).map((_, i) => ({ series: [i + 1, i + 2] as [number, number] })) } : {}),
        hooks: { setCursor: [(self) => say(self.cursor.idx ?? null)] },
      },
      data(),
      element,
    );
    plot.current = made;
    say(null);
    const watch = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height });
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [isDark, names, height, stacked]);

  const end = timesMs.at(-1) ?? Date.now();
  useEffect(() => {
    const element = box.current!;
    element.dataset['from'] = String((end - spanMs) / 1_000);
    element.dataset['to'] = String(end / 1_000);
    plot.current?.setData(data());
    const cursor = plot.current?.cursor.idx;
    if (cursor === null || cursor === undefined)
      for (const [i, cell] of (legend.current?.querySelectorAll('.chart-value') ?? []).entries()) {
        const value = series[i]?.values.at(-1);
        cell.textContent = value === null || value === undefined ? '–' : format(value);
      }
  });

  const newestValues = series
    .map(({ name, values }) => `${name} ${values.at(-1) === null || values.length === 0 ? '–' : format(values.at(-1)!)}`)
    .join(', ');
  return (
    <figure class="chart" role="img" aria-label={`${label}: ${newestValues}`}>
      <div class="chart-legend" ref={legend} aria-hidden="true">
        {series.map((one) => (
          <span key={one.name} class={`chart-key series-${one.colour}`}>
            {one.name} <span class="chart-value" />
          </span>
        ))}
      </div>
      <div ref={box} style={{ height: `${height}px` }} />
    </figure>
  );
}

/** Steps of an axis: 1, 2, 5, 10 … */
const WHOLE = Array.from({ length: 36 }, (_, i) => [1, 2, 5][i % 3]! * 10 ** Math.floor(i / 3));

const FONT = '11px "Inter Variable", system-ui, sans-serif';

function windowOf(_lines: number, element: HTMLElement): uPlot.Range.MinMax {
  return [Number(element.dataset['from'] ?? 0), Number(element.dataset['to'] ?? 1)];
}

/** Sums, the last first, because what is drawn later covers what was drawn before. */
function stack(series: readonly Series[]): number[][] {
  const sums: number[] = [];
  const lines = series.map(({ values }) => values.map((value, i) => (sums[i] = (sums[i] ?? 0) + (value ?? 0))));
  return lines.toReversed();
}
