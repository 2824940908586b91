import { labelText } from '../observe/exposition.ts';
import { Buckets, Histogram } from '../observe/histogram.ts';

/** What passed between a location of a server and one upstream. */
export class Tally {
  readonly server: string;
  readonly location: string;
  /** Name of the upstream; '' when a request never got as far as to have one. */
  readonly upstream: string;
  /** What it is called where people look. */
  readonly shown: string;
  /** As metrics say it. */
  readonly labels: string;
  /** Requests that ended, by class of status: 1xx to 5xx. */
  readonly byClass = new Float64Array(5);
  readonly duration = new Histogram(TIMES);
  readonly firstByte = new Histogram(TIMES);
  /** Waits for a slot, of all who wanted this upstream. */
  readonly waits: Histogram;
  requestBytes = 0;
  replyBytes = 0;

  constructor(server: string, location: string, upstream: string, shown: string, waits: Histogram) {
    this.server = server;
    this.location = location;
    this.upstream = upstream;
    this.shown = shown;
    this.waits = waits;
    this.labels = labelText(TALLY_LABELS, [server, location, shown]);
  }

  /** Requests that ended. */
  get requests(): number {
    const { byClass } = this;
    return byClass[0]! + byClass[1]! + byClass[2]! + byClass[3]! + byClass[4]!;
  }

  get errors(): number {
    return this.byClass[4]!;
  }

  /** Counts all that another one has counted. */
  add(other: Tally): void {
    for (let i = 0; i < other.byClass.length; i++) this.byClass[i]! += other.byClass[i]!;
    this.duration.add(other.duration);
    this.firstByte.add(other.firstByte);
    this.requestBytes += other.requestBytes;
    this.replyBytes += other.replyBytes;
  }
}

export interface LocationTallyOptions {
  readonly server: string;
  /** '' = none was found. */
  readonly location: string;
  /** What stands for an upstream without a name. */
  readonly unnamed: string;
  /** How many more may be counted one by one. */
  readonly room: { left: number };
  readonly waitsOf: (upstream: string) => Histogram;
}

/** What passes a location of a server: one object for as long as both stand in the configuration. */
export class LocationTally {
  readonly server: string;
  readonly location: string;
  readonly labels: string;
  inFlight = 0;
  /** Of the upstream that its requests go to unless something else is chosen. */
  usual: Tally;
  /** By what labels say, so that no two have the same. */
  readonly #byUpstream = new Map<string, Tally>();
  readonly #options: LocationTallyOptions;

  constructor(options: LocationTallyOptions, upstream: string) {
    this.#options = options;
    this.server = options.server;
    this.location = options.location === '' ? NONE : options.location;
    this.labels = labelText(LOCATION_LABELS, [this.server, this.location]);
    this.usual = this.of(upstream);
  }

  /** That of this upstream; '' = none. */
  of(upstream: string): Tally {
    const known = this.#byUpstream.get(upstream);
    if (known !== undefined) return known;
    const { unnamed, room, waitsOf } = this.#options;
    const shown = room.left <= 0 ? OTHER : upstream === '' ? unnamed : upstream;
    let tally = this.#byUpstream.get(shown);
    if (tally === undefined) {
      tally = new Tally(this.server, this.location, upstream, shown, waitsOf(shown));
      this.#byUpstream.set(shown, tally);
      room.left--;
    }
    return tally;
  }

  get tallies(): IterableIterator<Tally> {
    return this.#byUpstream.values();
  }

  /** Lets go of upstreams that there are no longer. @returns what they had */
  keepOnly(isThere: (upstream: string) => boolean): Tally[] {
    const gone: Tally[] = [];
    for (const [shown, tally] of this.#byUpstream) {
      if (tally === this.usual || tally.upstream === '' || isThere(tally.upstream)) continue;
      this.#byUpstream.delete(shown);
      gone.push(tally);
    }
    return gone;
  }
}

/** Stands in labels for what there is not: a location that was not found, an upstream that was never reached. */
export const NONE = '-';
/** Stands in labels for those that are too many. */
export const OTHER = 'other';

/** Seconds, from a tenth of a millisecond on, near enough to each other that a median between them is worth showing. */
export const FINE_SECONDS: readonly number[] = [
  ...[-4, -3, -2, -1, 0, 1].flatMap((exponent) => [1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5].map((mantissa) => Number(`${mantissa}e${exponent}`))),
  100,
  120,
  150,
  200,
  250,
  300,
];

/** Those of them that metrics of single locations and upstreams have: there may be a thousand. */
export const SHOWN_OF_EACH: readonly number[] = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300];

export const LOCATION_LABELS = ['server', 'location'] as const;
export const TALLY_LABELS = ['server', 'location', 'upstream'] as const;

/** Buckets of all these times. */
export const TIMES = new Buckets(FINE_SECONDS);
