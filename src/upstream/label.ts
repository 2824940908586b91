/** How a request waits among others. */
export interface Label {
  /** Class, 0 to 7: lower is served first. */
  readonly rank: number;
  /** Requests with the same key share what their class gets; '' = nobody has said. */
  readonly key: string;
  /** Share of its key among those of its class, 1 to 1000. */
  readonly weight: number;
  /** After each such time of waiting it stands one class higher, ms; 0 = never. */
  readonly ageMs: number;
  /** Requests of its key that may wait at once. */
  readonly most: number;
  /** May operators read the key? Otherwise they see its digest: it may be an address or a secret. */
  readonly shown: boolean;
}

export const CLASSES = 8;
/** Class of requests about which nobody has said anything: the default urgency of RFC 9218. */
export const USUAL_CLASS = 3;
/** After so long a request goes up by one class, ms. */
export const USUAL_AGE_MS = 10_000;
export const WEIGHT_MAX = 1_000;

/** Nobody has said anything. */
export const PLAIN: Label = {
  rank: USUAL_CLASS,
  key: '',
  weight: 1,
  ageMs: USUAL_AGE_MS,
  most: Number.POSITIVE_INFINITY,
  shown: true,
};

/** What is said now goes before what was said earlier; numbers are brought into their bounds. */
export function labelled(before: Label, given: Partial<Label>): Label {
  return {
    rank: within(given.rank ?? before.rank, 0, CLASSES - 1),
    key: given.key ?? before.key,
    weight: within(given.weight ?? before.weight, 1, WEIGHT_MAX),
    ageMs: within(given.ageMs ?? before.ageMs, 0, Number.MAX_SAFE_INTEGER),
    most: given.most ?? before.most,
    shown: given.shown ?? before.shown,
  };
}

function within(value: number, least: number, most: number): number {
  return value >= least ? Math.min(most, Math.trunc(value)) : least;
}
