// Medians and how figures are written.

/** @param {number[]} values */
export function median(values) {
  return quantile(values, 0.5);
}

/** @param {number[]} values @param {number} share */
export function quantile(values, share) {
  if (values.length === 0) return NaN;
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)];
  return low + (sorted[Math.ceil(at)] - low) * (at - Math.floor(at));
}

/** Without spreading its argument: there may be a hundred thousand. @param {number[]} values */
export function maximum(values) {
  let most = -Infinity;
  for (const value of values) if (value > most) most = value;
  return values.length === 0 ? NaN : most;
}

/** The median, and the range it came from: "15.2 (14.8..15.9)". @param {number[]} values @param {number} digits */
export function spread(values, digits = 1) {
  const good = values.filter(Number.isFinite);
  if (good.length === 0) return '-';
  const text = median(good).toFixed(digits);
  return good.length === 1 ? text : `${text} (${Math.min(...good).toFixed(digits)}..${Math.max(...good).toFixed(digits)})`;
}

/** @param {number} bytes */
export function mib(bytes) {
  return Number.isFinite(bytes) ? `${(bytes / 1024 ** 2).toFixed(1)} MiB` : '-';
}
