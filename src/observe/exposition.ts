/** How metrics are written: the text format of Prometheus (0.0.4), which everybody reads, or OpenMetrics 1.0, for those who ask for it. */
export type Exposition = 'prometheus' | 'openmetrics';

/** What an answer in each of them is called. */
export const EXPOSITION_TYPES: Readonly<Record<Exposition, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** A summary here has quantiles alone, as both formats allow. */
export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary';

/** What somebody with this `Accept` gets: OpenMetrics only when he likes it at least as well as plain text. */
export function expositionFor(accept: string): Exposition {
  let open = 0;
  let plain = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const quality = Number(parameters.find((one) => one.startsWith('q='))?.slice(2) ?? '1');
    const q = Number.isNaN(quality) ? 0 : quality;
    const version = parameters
      .find((one) => one.startsWith('version='))
      ?.slice('version='.length)
      .replaceAll('"', '');
    // A version that we do not write is not asked for in vain: the other format is.
    if (type === 'application/openmetrics-text' && (version === undefined || version === '1.0.0')) open = Math.max(open, q);
    else if (type === 'text/plain' && (version === undefined || version === '0.0.4')) plain = Math.max(plain, q);
  }
  return open > 0 && open >= plain ? 'openmetrics' : 'prometheus';
}

/** Lines about a metric before its samples. `isTaken`: is there another metric of this name? */
export function preamble(name: string, help: string, type: MetricType, as: Exposition, isTaken: (name: string) => boolean): string {
  const text = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  if (as === 'prometheus') return `# HELP ${name} ${text}\n# TYPE ${name} ${type}\n`;
  // There a counter is called by its name without `_total`, which its sample must have. A gauge that has that name already keeps it.
  const family = type === 'counter' && name.endsWith('_total') ? name.slice(0, -'_total'.length) : name;
  const isCounter = family !== name && !isTaken(family);
  const told = isCounter ? family : name;
  return `# HELP ${told} ${text.replaceAll('"', '\\"')}\n# TYPE ${told} ${type === 'counter' && !isCounter ? 'unknown' : type}\n`;
}

/** One line. `labels`: as labelText() says, '' for none. */
export function sampleLine(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${numberText(value)}\n` : `${name}{${labels}} ${numberText(value)}\n`;
}

/** What stands for a bound of a histogram. */
export function boundText(bound: number, as: Exposition): string {
  return as === 'openmetrics' && Number.isInteger(bound) ? bound.toFixed(1) : numberText(bound);
}

/** `a="1",b="2"`, without braces. */
export function labelText(names: readonly string[], values: readonly string[]): string {
  let text = '';
  for (let i = 0; i < names.length; i++) text += `${i === 0 ? '' : ','}${names[i]!}="${escapedLabel(values[i]!)}"`;
  return text;
}

function numberText(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
}

function escapedLabel(value: string): string {
  // The format has no escape for the other control characters, and people look at metrics in terminals.
  // oxlint-disable-next-line no-control-regex -- control characters are the subject
  const clean = value.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  return clean.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
