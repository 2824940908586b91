// HOT: `value++` runs several times per request. Everything else here runs at start or when scraped.
import { boundText, type Exposition, labelText, type MetricType, preamble, sampleLine } from './exposition.ts';
import { Buckets, Histogram } from './histogram.ts';
import { LABEL_SETS } from './limits.ts';

/** Only ever grows: `value++`. */
export interface Counter {
  value: number;
}

/** Goes up and down: `value++`, `value--`. */
export interface Gauge {
  value: number;
}

/** Members of a metric by label values. Ask for a member at load time and keep it: with() is not for the hot path. */
export interface Family<Member> {
  /** The member with these label values, in the order of the label names. Too many sets: the member `other`. */
  with(...values: string[]): Member;
}

/** Says one sample of a metric that is computed when scraped. */
export type Emit = (value: number, ...labelValues: string[]) => void;

/** Says one sample, whose labels are ready: labelText(). */
export type EmitLabelled<Value> = (value: Value, labels: string) => void;

/** What a metric is, for people. */
export interface MetricDescription {
  readonly name: string;
  readonly type: MetricType;
  readonly labels: readonly string[];
  readonly help: string;
}

/** Seconds from half a millisecond to five minutes: service times of everything from a cache to a language model. */
export const SECONDS: readonly number[] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/**
 * All metrics of a process, and their text when scraped. Who asks for a family that is there already counts into it: plugins of one category, and those that
 * come in their place with a reload, say their own name in a label.
 */
export class Registry {
  readonly #metrics = new Map<string, Metric>();

  counter(name: string, help: string): Counter {
    return this.counters(name, help, []).with();
  }

  counters(name: string, help: string, labels: readonly string[], maxSets = LABEL_SETS): Family<Counter> {
    return this.#family(new Numbers(name, help, 'counter', labels, maxSets));
  }

  gauge(name: string, help: string): Gauge {
    return this.gauges(name, help, []).with();
  }

  gauges(name: string, help: string, labels: readonly string[], maxSets = LABEL_SETS): Family<Gauge> {
    return this.#family(new Numbers(name, help, 'gauge', labels, maxSets));
  }

  histogram(name: string, help: string, bounds: readonly number[] = SECONDS): Histogram {
    return this.histograms(name, help, [], bounds).with();
  }

  histograms(name: string, help: string, labels: readonly string[], bounds: readonly number[] = SECONDS, maxSets = LABEL_SETS): Family<Histogram> {
    return this.#family(new Histograms(name, help, labels, bounds, maxSets));
  }

  /** A metric that is computed when scraped. `collect` must be quick and may not wait. */
  computed(type: 'counter' | 'gauge' | 'summary', name: string, help: string, labels: readonly string[], collect: (emit: Emit) => void): void {
    this.#add(
      new Computed(name, help, type, labels, (emit) => {
        let left = LABEL_SETS;
        collect((value, ...labelValues) => {
          if (labelValues.length !== labels.length) throw new Error(`${name} has ${labels.length} labels, not ${labelValues.length}`);
          if (left-- > 0) emit(value, labelText(labels, labelValues));
        });
      }),
    );
  }

  /** A gauge without labels that is computed when scraped. */
  computedGauge(name: string, help: string, read: () => number): void {
    this.computed('gauge', name, help, [], (emit) => emit(read()));
  }

  /** A metric of many series whose labels are ready. Whoever collects bounds how many there are. */
  labelled(type: 'counter' | 'gauge', name: string, help: string, labels: readonly string[], collect: (emit: EmitLabelled<number>) => void): void {
    this.#add(new Computed(name, help, type, labels, collect));
  }

  /** Histograms that somebody else keeps. `bounds`: those of their bounds that are shown. */
  labelledHistograms(
    name: string,
    help: string,
    labels: readonly string[],
    bounds: readonly number[],
    collect: (emit: EmitLabelled<Histogram>) => void,
  ): void {
    this.#add(new ComputedHistograms(name, help, labels, bounds, collect));
  }

  /** All values of a metric together (of a histogram how many there were); null when there is none of that name. */
  sum(name: string): number | null {
    return this.#metrics.get(name)?.total() ?? null;
  }

  /** All of it as text. */
  render(as: Exposition = 'prometheus'): string {
    const out: string[] = [];
    const isTaken = (name: string): boolean => this.#metrics.has(name);
    for (const metric of this.#metrics.values()) metric.render(out, as, isTaken);
    if (as === 'openmetrics') out.push('# EOF\n');
    return out.join('');
  }

  /** What there is, in its order. */
  describe(): MetricDescription[] {
    return [...this.#metrics.values()].map(({ name, type, labels, help }) => ({ name, type, labels, help }));
  }

  #family<M extends Metric>(metric: M): M {
    const known = this.#metrics.get(metric.name);
    return known !== undefined && known.kind === metric.kind ? (known as M) : this.#add(metric);
  }

  #add<M extends Metric>(metric: M): M {
    if (this.#metrics.has(metric.name)) throw new Error(`metric ${metric.name} exists already, and is another`);
    this.#metrics.set(metric.name, metric);
    return metric;
  }
}

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

abstract class Metric {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labels: readonly string[];
  /** Families of one name and kind are one. */
  readonly kind: string;

  constructor(name: string, help: string, type: MetricType, labels: readonly string[], more = '') {
    if (!METRIC_NAME.test(name)) throw new Error(`not a metric name: ${name}`);
    for (const label of labels) if (!LABEL_NAME.test(label) || label === 'le') throw new Error(`not a label name: ${label}`);
    if (labels.includes('quantile') !== (type === 'summary')) throw new Error(`${name}: summaries have quantiles, and others have none`);
    if (new Set(labels).size !== labels.length) throw new Error(`a label of ${name} stands twice`);
    this.name = name;
    this.help = help;
    this.type = type;
    this.labels = labels;
    this.kind = `${type}(${labels.join()})${more}`;
  }

  render(out: string[], as: Exposition, isTaken: (name: string) => boolean): void {
    out.push(preamble(this.name, this.help, this.type, as, isTaken));
    this.samples(out, as);
  }

  protected abstract samples(out: string[], as: Exposition): void;
  abstract total(): number;
}

abstract class LabelSets<Member> extends Metric implements Family<Member> {
  protected readonly members = new Map<string, Member>();
  readonly #maxSets: number;

  constructor(name: string, help: string, type: MetricType, labels: readonly string[], maxSets: number, more?: string) {
    super(name, help, type, labels, more);
    this.#maxSets = maxSets;
  }

  protected abstract make(): Member;

  with(...values: string[]): Member {
    const { name, labels } = this;
    if (values.length !== labels.length) throw new Error(`${name} has ${labels.length} labels, not ${values.length}`);
    let text = labelText(labels, values);
    let member = this.members.get(text);
    if (member === undefined && this.members.size >= this.#maxSets) {
      text = labelText(
        labels,
        labels.map(() => 'other'),
      );
      member = this.members.get(text);
    }
    if (member === undefined) {
      member = this.make();
      this.members.set(text, member);
    }
    return member;
  }
}

class Numbers extends LabelSets<{ value: number }> {
  protected make(): { value: number } {
    return { value: 0 };
  }

  total(): number {
    let sum = 0;
    for (const { value } of this.members.values()) sum += value;
    return sum;
  }

  protected samples(out: string[]): void {
    for (const [labels, member] of this.members) out.push(sampleLine(this.name, labels, member.value));
  }
}

class Histograms extends LabelSets<Histogram> {
  readonly #bounds: readonly number[];
  readonly #buckets: Buckets;

  constructor(name: string, help: string, labels: readonly string[], bounds: readonly number[], maxSets: number) {
    super(name, help, 'histogram', labels, maxSets, ` of ${bounds.join()}`);
    for (let i = 0; i < bounds.length; i++) {
      if (!Number.isFinite(bounds[i]!) || (i > 0 && bounds[i]! <= bounds[i - 1]!)) throw new Error(`buckets of ${name} do not ascend`);
    }
    this.#bounds = bounds;
    this.#buckets = new Buckets(bounds);
  }

  protected make(): Histogram {
    return new Histogram(this.#buckets);
  }

  total(): number {
    let sum = 0;
    for (const { count } of this.members.values()) sum += count;
    return sum;
  }

  protected samples(out: string[], as: Exposition): void {
    const texts = this.#bounds.map((bound) => boundText(bound, as));
    for (const [labels, histogram] of this.members) histogramLines(out, this.name, labels, histogram, this.#bounds, texts);
  }
}

class Computed extends Metric {
  readonly #collect: (emit: EmitLabelled<number>) => void;

  constructor(name: string, help: string, type: MetricType, labels: readonly string[], collect: (emit: EmitLabelled<number>) => void) {
    super(name, help, type, labels, ' computed');
    this.#collect = collect;
  }

  total(): number {
    let sum = 0;
    this.#collect((value) => (sum += value));
    return sum;
  }

  protected samples(out: string[]): void {
    this.#collect((value, labels) => out.push(sampleLine(this.name, labels, value)));
  }
}

class ComputedHistograms extends Metric {
  readonly #bounds: readonly number[];
  readonly #collect: (emit: EmitLabelled<Histogram>) => void;

  constructor(name: string, help: string, labels: readonly string[], bounds: readonly number[], collect: (emit: EmitLabelled<Histogram>) => void) {
    super(name, help, 'histogram', labels, ' computed');
    this.#bounds = bounds;
    this.#collect = collect;
  }

  total(): number {
    let sum = 0;
    this.#collect(({ count }) => (sum += count));
    return sum;
  }

  protected samples(out: string[], as: Exposition): void {
    const texts = this.#bounds.map((bound) => boundText(bound, as));
    this.#collect((histogram, labels) => histogramLines(out, this.name, labels, histogram, this.#bounds, texts));
  }
}

/** `shown`: some of its bounds. Since buckets say how much lies below them, any of them may be left out. One text, since there may be thousands. */
function histogramLines(
  out: string[],
  name: string,
  labels: string,
  { buckets, counts, sum }: Histogram,
  shown: readonly number[],
  texts: readonly string[],
): void {
  const { bounds } = buckets;
  const bucket = `${name}_bucket{${labels === '' ? '' : `${labels},`}le="`;
  let text = '';
  let total = 0;
  let next = 0;
  for (let i = 0; i < bounds.length; i++) {
    total += counts[i]!;
    if (bounds[i] === shown[next]) text += `${bucket}${texts[next++]!}"} ${total}\n`;
  }
  total += counts[bounds.length]!;
  out.push(`${text}${bucket}+Inf"} ${total}\n${sampleLine(`${name}_sum`, labels, sum)}${sampleLine(`${name}_count`, labels, total)}`);
}
