import { performance } from 'node:perf_hooks';
import type { ConfigProblem } from '../admin/model.ts';
import type { Log } from '../observe/log.ts';
import type { Registry } from '../observe/metrics.ts';
import type { GatewaySettings, LoadedGateway } from '../config/gateway.ts';
import { SettingsError } from '../config/settings-error.ts';
import { Watcher } from '../config/watcher.ts';

export interface ReloadOptions {
  readonly log: Log;
  readonly metrics: Registry;
  /** Wall-clock ms. */
  readonly wall: () => number;
  /** Reads the configuration. @throws SettingsError */
  readonly load: () => Promise<LoadedGateway>;
  /** Puts it to use. @throws the error of a listener */
  readonly apply: (settings: GatewaySettings) => Promise<void>;
  /** It serves now. */
  readonly applied: (settings: GatewaySettings) => void;
  /** It cannot be used: what is wrong with it, one line each. */
  readonly failed?: (lines: readonly string[]) => void;
  /** What is wrong with it, for the operator; null for a defect of ours. */
  readonly explain: (error: unknown) => string | null;
  /** Of what serves already. */
  readonly first?: Omit<Outcome, 'atMs'>;
}

/** How the configuration fares. */
export interface Outcome {
  /** Could what was read last be used? */
  readonly ok: boolean;
  /** Of the texts that serve; '' = unknown. */
  readonly etag: string;
  /** When they began to serve, wall-clock ms. */
  readonly atMs: number;
  /** What was said of those that were read last. */
  readonly problems: readonly ConfigProblem[];
}

/** Reads the configuration anew when its files change or somebody asks, and puts it to use if all of it is right; else the old one serves on. */
export class Reload {
  readonly #options: ReloadOptions;
  readonly #watcher: Watcher;
  #lastSuccess = true;
  #lastSuccessMs: number;
  readonly #counts = { success: 0, failure: 0 };
  /** Asked for again while one runs: one more, after it. */
  #again = false;
  #running: Promise<void> | null = null;
  #outcome: Outcome;
  /** A reading is over. */
  ended: () => void = () => {};

  /** `sinceMs`: when the settings began to be read, wall-clock ms. */
  constructor(options: ReloadOptions, settings: GatewaySettings, sinceMs: number) {
    this.#options = options;
    this.#outcome = { ok: true, etag: '', problems: [], ...options.first, atMs: options.wall() };
    this.#lastSuccessMs = options.wall();
    this.#watcher = new Watcher({ paths: settings.watched, sinceMs, everyMs: settings.basic.watchIntervalMs, changed: () => void this.now() });
    const { metrics } = options;
    metrics.computedGauge('windlass_config_last_reload_success', 'Could the configuration be used when it was read last? 1 yes, 0 no.', () =>
      this.#lastSuccess ? 1 : 0,
    );
    metrics.computedGauge(
      'windlass_config_last_reload_success_timestamp_seconds',
      'When a configuration was put to use last, Unix time.',
      () => this.#lastSuccessMs / 1000,
    );
    metrics.computed(
      'counter',
      'windlass_config_reloads_total',
      'Readings of the configuration after the start, by result: success, failure.',
      ['result'],
      (emit) => {
        emit(this.#counts.success, 'success');
        emit(this.#counts.failure, 'failure');
      },
    );
  }

  /** Reads it now. Resolves when the last reading that was asked for is over. */
  now(): Promise<void> {
    if (this.#running !== null) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#all().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #all(): Promise<void> {
    do {
      this.#again = false;
      await this.#once();
    } while (this.#again);
    this.ended();
  }

  /** Of the last reading that is over. */
  get outcome(): Outcome {
    return this.#outcome;
  }

  async #once(): Promise<void> {
    const { log, load, apply, applied, wall, explain } = this.#options;
    const beganMs = performance.now();
    this.#watcher.reading(wall());
    let watched: readonly string[] = [];
    try {
      const { settings, warnings, problems, etag } = await load();
      ({ watched } = settings);
      for (const line of warnings) log.warn({}, line);
      await apply(settings);
      this.#watcher.follow(watched, settings.basic.watchIntervalMs);
      this.#lastSuccess = true;
      this.#lastSuccessMs = wall();
      this.#counts.success++;
      this.#outcome = { ok: true, etag, atMs: this.#lastSuccessMs, problems };
      log.info({ ms: Math.round(performance.now() - beganMs), locations: settings.locations.size }, 'the new configuration serves');
      applied(settings);
    } catch (error) {
      this.#lastSuccess = false;
      this.#counts.failure++;
      // What mends it may happen in a file that only the new configuration knows.
      if (error instanceof SettingsError) watched = [...watched, ...error.watched];
      this.#watcher.follow([...new Set([...this.#watcher.paths, ...watched])], this.#watcher.everyMs);
      const lines = error instanceof SettingsError ? error.lines : [explain(error)];
      for (const line of lines) {
        if (line === null) log.error({ error: (error as Error).stack ?? String(error) }, 'a defect of ours: please report it');
        else log.error({}, line);
      }
      this.#outcome = { ...this.#outcome, ok: false, problems: problemsOf(error, lines) };
      this.#options.failed?.(lines.map((line) => line ?? 'a defect of ours: see the log'));
      log.error({ errors: lines.length }, 'the new configuration cannot be used: the old one serves on');
    }
  }

  close(): void {
    this.#watcher.close();
  }
}

function problemsOf(error: unknown, lines: readonly (string | null)[]): readonly ConfigProblem[] {
  if (error instanceof SettingsError) return error.problems;
  return lines.map((line) => ({ level: 'error', message: line ?? 'a defect of ours: see the log', file: '', line: 0, column: 0, subject: '' }));
}
