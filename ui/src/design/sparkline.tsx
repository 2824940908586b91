/** A small line without axes: the shape of the last minutes, behind a number that says how much. */
export function Sparkline({
  values,
  height = 34,
  series = 2,
}: {
  values: readonly (number | null)[];
  height?: number;
  series?: 1 | 2 | 3 | 4 | 5 | 6;
}) {
  const width = 120;
  const known = values.map((value) => value ?? 0);
  const most = Math.max(...known, 1e-9);
  const step = known.length > 1 ? width / (known.length - 1) : width;
  const points = known.map((value, i) => `${(i * step).toFixed(1)},${(height - 2 - (value / most) * (height - 5)).toFixed(1)}`);
  if (points.length < 2) return <svg class="sparkline" viewBox={`0 0 ${width} ${height}`} aria-hidden="true" />;
  return (
    <svg class={`sparkline series-${series}`} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
      <path class="sparkline-area" d={`M0,${height} L${points.join(' L')} L${width},${height} Z`} />
      <path class="sparkline-line" d={`M${points.join(' L')}`} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
