/** A value of an attribute; lists are of text. */
export type AttributeValue = string | number | boolean | readonly string[];

/** What a span is of: work inside, a request that came, or one that was sent. By their numbers in OTLP. */
export const INTERNAL = 1;
export const SERVER = 2;
export const CLIENT = 3;

/** One piece of work in a trace, when it is over. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** '' = none. */
  readonly parentId: string;
  readonly state: string;
  readonly flags: number;
  readonly name: string;
  readonly kind: typeof INTERNAL | typeof SERVER | typeof CLIENT;
  /** Ms since the Unix epoch. */
  readonly startMs: number;
  readonly endMs: number;
  /** Names are plain words with dots. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** What went wrong, in a word; null = nothing. */
  readonly error: string | null;
}

/** Spans that are over, and are not made before they are sent: many at once cost much less than each within its request. */
export interface Spans {
  /** How many they are at most. */
  readonly count: number;
  make(): readonly Span[];
}

/** Who takes spans. Never waits, never throws. */
export interface SpanSink {
  add(spans: Spans): void;
}
