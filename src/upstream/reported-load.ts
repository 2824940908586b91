// HOT: now is asked for per request, head() and trailers() run per answer.
import type { Clock } from '../std/clock.ts';
import type { HeaderList, ResponseHead } from '../http/head.ts';
import { LOAD_FULL, LOAD_REPORT_MS } from './limits.ts';
import { LOAD_FIELD, LOAD_FIELD_BINARY, loadInTrailers, reportedLoad, reportedLoadBinary, withoutReports } from './load-report.ts';
import type { LoadWatch } from './upstream.ts';

/** How busy an endpoint is: as it said last, while that is fresh, else as the settings say. */
export class ReportedLoad implements LoadWatch {
  readonly #clock: Clock;
  #given: number;
  #reported = 0;
  /** When it said so, monotonic ms. */
  #reportedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, given: number) {
    this.#clock = clock;
    this.#given = atMost(given);
  }

  /** 0 to 0.99. */
  get now(): number {
    return this.isReported ? this.#reported : this.#given;
  }

  /** Is it the endpoint's own word? */
  get isReported(): boolean {
    return this.#clock.now() - this.#reportedMs <= LOAD_REPORT_MS;
  }

  /** The settings say something else from now on. */
  give(load: number): void {
    this.#given = atMost(load);
  }

  head(head: ResponseHead): void {
    const text = head.get(LOAD_FIELD);
    if (text !== undefined) {
      head.removeName(LOAD_FIELD);
      this.#take(reportedLoad(text));
    }
    const binary = head.get(LOAD_FIELD_BINARY);
    if (binary !== undefined) {
      head.removeName(LOAD_FIELD_BINARY);
      this.#take(reportedLoadBinary(binary));
    }
  }

  trailers(trailers: HeaderList): HeaderList {
    const rest = withoutReports(trailers);
    if (rest.length === trailers.length) return trailers;
    this.#take(loadInTrailers(trailers));
    return rest;
  }

  #take(load: number | null): void {
    if (load === null) return;
    this.#reported = atMost(load);
    this.#reportedMs = this.#clock.now();
  }
}

/** Who has nothing to spare still has a little, so that the formula has something to divide by. */
function atMost(load: number): number {
  return Math.min(LOAD_FULL, load);
}
