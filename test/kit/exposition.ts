/** One line of a page of metrics. */
export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** A page of metrics, read strictly. */
export interface MetricsPage {
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly Sample[];
}

/** Reads the text format of Prometheus, or OpenMetrics, as a server would, and refuses what one would refuse: a series twice, samples apart from their metric. */
export function readMetrics(text: string, format: 'prometheus' | 'openmetrics' = 'prometheus'): MetricsPage {
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  const series = new Set<string>();
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('the last line does not end');
  if (format === 'openmetrics' && lines.pop() !== '# EOF') throw new Error('the page does not end with # EOF');
  let family = '';
  for (const line of lines) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line);
    if (comment !== null) {
      const [, what, name, rest] = comment as unknown as [string, string, string, string];
      if (what === 'HELP' && types.has(name)) throw new Error(`${name} stands twice`);
      if (what === 'TYPE') types.set(name, rest);
      family = name;
      continue;
    }
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (parts === null) throw new Error(`not a line of metrics: ${line}`);
    const [, name, labelText = '', valueText] = parts as unknown as [string, string, string | undefined, string];
    const type = types.get(family);
    if (!belongs(name, family, type, format)) throw new Error(`${name} stands below ${family} (${type})`);
    const labels = readLabels(labelText);
    // As promtool has it.
    if (labels.has('quantile') !== (type === 'summary')) throw new Error(`${name} (${type}) has a quantile where there is none, or none`);
    const key = `${name} ${[...labels]
      .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
      .toSorted()
      .join()}`;
    if (series.has(key)) throw new Error(`a series stands twice: ${line}`);
    series.add(key);
    const value = valueText === '+Inf' ? Infinity : valueText === '-Inf' ? -Infinity : Number(valueText);
    if (valueText !== 'NaN' && Number.isNaN(value)) throw new Error(`not a number: ${line}`);
    samples.push({ name, labels, value });
  }
  judgeHistograms(types, samples);
  return { types, samples };
}

function belongs(name: string, family: string, type: string | undefined, format: 'prometheus' | 'openmetrics'): boolean {
  if (type === 'histogram') return [`${family}_bucket`, `${family}_sum`, `${family}_count`].includes(name);
  return name === (format === 'openmetrics' && type === 'counter' ? `${family}_total` : family);
}

function readLabels(text: string): Map<string, string> {
  const labels = new Map<string, string>();
  const one = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
  while (one.lastIndex < text.length) {
    const match = one.exec(text);
    if (match === null) throw new Error(`not labels: ${text}`);
    if (labels.has(match[1]!)) throw new Error(`a label stands twice: ${text}`);
    labels.set(
      match[1]!,
      match[2]!.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char)),
    );
  }
  return labels;
}

/** Buckets never go down, and the last one has all. */
function judgeHistograms(types: ReadonlyMap<string, string>, samples: readonly Sample[]): void {
  const buckets = new Map<string, { le: number; value: number }[]>();
  const counts = new Map<string, number>();
  const keyOf = (name: string, labels: ReadonlyMap<string, string>): string =>
    `${name} ${JSON.stringify([...labels].filter(([label]) => label !== 'le'))}`;
  for (const { name, labels, value } of samples) {
    const [, family = '', part] = /^(.*)_(bucket|count)$/.exec(name) ?? [];
    if (types.get(family) !== 'histogram') continue;
    const key = keyOf(family, labels);
    if (part === 'count') {
      counts.set(key, value);
      continue;
    }
    const text = labels.get('le');
    const list = buckets.get(key) ?? [];
    list.push({ le: text === '+Inf' ? Infinity : Number(text), value });
    buckets.set(key, list);
  }
  for (const [key, list] of buckets) {
    for (let i = 1; i < list.length; i++)
      if (list[i]!.le <= list[i - 1]!.le || list[i]!.value < list[i - 1]!.value) throw new Error(`buckets of ${key} do not ascend`);
    if (list.at(-1)!.le !== Infinity || list.at(-1)!.value !== counts.get(key)) throw new Error(`the last bucket of ${key} is not its count`);
  }
}

/** A program's page, read. */
export async function scrape(running: { readonly adminAddress: { readonly port: number } | null }): Promise<MetricsPage> {
  return readMetrics(await (await fetch(`http://127.0.0.1:${running.adminAddress!.port}/metrics`)).text());
}

/** The value of the one series with these labels, or with more; NaN when there is none. */
export function valueOf({ samples }: MetricsPage, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const found = samples.filter(
    (sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels.get(label) === value),
  );
  if (found.length > 1) throw new Error(`${found.length} series of ${name} have ${JSON.stringify(labels)}`);
  return found[0]?.value ?? Number.NaN;
}
