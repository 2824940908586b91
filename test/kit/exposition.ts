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
  for (const [name, type] of types) {
    if (type !== 'histogram') continue;
    const bySeries = new Map<string, { le: number; value: number }[]>();
    const keyOf = (labels: ReadonlyMap<string, string>): string => JSON.stringify([...labels].filter(([label]) => label !== 'le'));
    for (const { name: of, labels, value } of samples) {
      if (of !== `${name}_bucket`) continue;
      const text = labels.get('le');
      const buckets = bySeries.get(keyOf(labels)) ?? [];
      buckets.push({ le: text === '+Inf' ? Infinity : Number(text), value });
      bySeries.set(keyOf(labels), buckets);
    }
    for (const [key, buckets] of bySeries) {
      for (let i = 1; i < buckets.length; i++)
        if (buckets[i]!.le <= buckets[i - 1]!.le || buckets[i]!.value < buckets[i - 1]!.value)
          throw new Error(`buckets of ${name} ${key} do not ascend`);
      const count = samples.find(({ name: of, labels }) => of === `${name}_count` && keyOf(labels) === key);
      if (buckets.at(-1)!.le !== Infinity || buckets.at(-1)!.value !== count?.value)
        throw new Error(`the last bucket of ${name} ${key} is not its count`);
    }
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
