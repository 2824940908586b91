// HOT: `value++` and observe() run several times per request. Everything else here runs at start or when scraped.
import { LABEL_SETS } from './limits.ts';

/** Only ever grows: `value++`. */
export interface Counter {
  value: number;
}

/** Goes up and down: `value++`, `value--`. */
export interface Gauge {
  value: number;
}

/** Spread of a value over fixed buckets. */
export class Histogram {
  /** Upper bounds, ascending; one more bucket counts what is above the last. */
  readonly bounds: Float64Array;
  readonly counts: Float64Array;
  /** One number, in an array so that adding to it allocates nothing. */
  readonly #sum = new Float64Array(1);

  constructor(bounds: Float64Array) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds } = this;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    this.counts[i]!++;
    this.#sum[0]! += value;
  }

  get sum(): number {
    return this.#sum[0]!;
  }
}

/** Members of a metric by label values. Ask for a member at load time and keep it: with() is not for the hot path. */
export interface Family<Member> {
  /** The member with these label values, in the order of the label names. Too many sets: the member `other`. */
  with(...values: string[]): Member;
}

/** Says one sample of a metric that is computed when scraped. */
export type Emit = (value: number, ...labelValues: string[]) => void;

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
  computed(type: 'counter' | 'gauge', name: string, help: string, labels: readonly string[], collect: (emit: Emit) => void): void {
    this.#add(new Computed(name, help, type, labels, collect));
  }

  /** A gauge without labels that is computed when scraped. */
  computedGauge(name: string, help: string, read: () => number): void {
    this.computed('gauge', name, help, [], (emit) => emit(read()));
  }

  /** All values of a metric together (of a histogram how many there were); null when there is none of that name. */
  sum(name: string): number | null {
    return this.#metrics.get(name)?.total() ?? null;
  }

  /** Prometheus text format 0.0.4. */
  render(): string {
    const out: string[] = [];
    for (const metric of this.#metrics.values()) metric.render(out);
    return out.join('');
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

/** What an HTTP answer with render()'s text is called. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

abstract class Metric {
  readonly name: string;
  protected readonly labels: readonly string[];
  /** Families of one name and kind are one. */
  readonly kind: string;
  readonly #preamble: string;

  constructor(name: string, help: string, type: string, labels: readonly string[], more = '') {
    if (!METRIC_NAME.test(name)) throw new Error(`not a metric name: ${name}`);
    for (const label of labels) if (!LABEL_NAME.test(label) || label === 'le') throw new Error(`not a label name: ${label}`);
    if (new Set(labels).size !== labels.length) throw new Error(`a label of ${name} stands twice`);
    this.name = name;
    this.labels = labels;
    this.kind = `${type}(${labels.join()})${more}`;
    this.#preamble = `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
  }

  render(out: string[]): void {
    out.push(this.#preamble);
    this.samples(out);
  }

  protected abstract samples(out: string[]): void;
  abstract total(): number;

  /** `a="1",b="2"`, without braces. */
  protected labelText(values: readonly string[]): string {
    if (values.length !== this.labels.length) throw new Error(`${this.name} has ${this.labels.length} labels, not ${values.length}`);
    let text = '';
    for (let i = 0; i < values.length; i++) text += `${i === 0 ? '' : ','}${this.labels[i]!}="${escapedLabel(values[i]!)}"`;
    return text;
  }
}

abstract class LabelSets<Member> extends Metric implements Family<Member> {
  protected readonly members = new Map<string, Member>();
  readonly #maxSets: number;

  constructor(name: string, help: string, type: string, labels: readonly string[], maxSets: number, more?: string) {
    super(name, help, type, labels, more);
    this.#maxSets = maxSets;
  }

  protected abstract make(): Member;

  with(...values: string[]): Member {
    let text = this.labelText(values);
    let member = this.members.get(text);
    if (member === undefined && this.members.size >= this.#maxSets) {
      text = this.labelText(this.labels.map(() => 'other'));
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
    for (const [labels, member] of this.members) out.push(sample(this.name, labels, member.value));
  }
}

class Histograms extends LabelSets<Histogram> {
  readonly #bounds: Float64Array;

  constructor(name: string, help: string, labels: readonly string[], bounds: readonly number[], maxSets: number) {
    super(name, help, 'histogram', labels, maxSets, ` of ${bounds.join()}`);
    for (let i = 0; i < bounds.length; i++) {
      if (!Number.isFinite(bounds[i]!) || (i > 0 && bounds[i]! <= bounds[i - 1]!)) throw new Error(`buckets of ${name} do not ascend`);
    }
    this.#bounds = Float64Array.from(bounds);
  }

  protected make(): Histogram {
    return new Histogram(this.#bounds);
  }

  total(): number {
    let sum = 0;
    for (const { counts } of this.members.values()) for (const count of counts) sum += count;
    return sum;
  }

  protected samples(out: string[]): void {
    for (const [labels, { bounds, counts, sum }] of this.members) {
      const before = labels === '' ? '' : `${labels},`;
      let total = 0;
      for (let i = 0; i < counts.length; i++) {
        total += counts[i]!;
        out.push(sample(`${this.name}_bucket`, `${before}le="${i < bounds.length ? number(bounds[i]!) : '+Inf'}"`, total));
      }
      out.push(sample(`${this.name}_sum`, labels, sum), sample(`${this.name}_count`, labels, total));
    }
  }
}

class Computed extends Metric {
  readonly #collect: (emit: Emit) => void;

  constructor(name: string, help: string, type: string, labels: readonly string[], collect: (emit: Emit) => void) {
    super(name, help, type, labels, ' computed');
    this.#collect = collect;
  }

  total(): number {
    let sum = 0;
    this.#collect((value) => (sum += value));
    return sum;
  }

  protected samples(out: string[]): void {
    let left = LABEL_SETS;
    this.#collect((value, ...labelValues) => {
      if (left-- > 0) out.push(sample(this.name, this.labelText(labelValues), value));
    });
  }
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${number(value)}\n` : `${name}{${labels}} ${number(value)}\n`;
}

function number(value: number): string {
  return value === Infinity ? '+Inf' : value === -Infinity ? '-Inf' : String(value);
}

function escapedLabel(value: string): string {
  // The format has no escape for the other control characters, and people look at metrics in terminals.
  // oxlint-disable-next-line no-control-regex -- control characters are the subject
  const clean = value.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  return clean.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}
