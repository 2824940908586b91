import type { LogRing } from '../../observe/log-ring.ts';
import type { LogsBackend } from '../../admin/logs-routes.ts';
import type { LogEntry, Page } from '../../admin/model.ts';

/** The last lines of the log, for the console. */
export class ConsoleLogs implements LogsBackend {
  readonly #ring: LogRing;

  constructor(ring: LogRing) {
    this.#ring = ring;
  }

  async list(wanted: (line: LogEntry) => boolean, limit: number): Promise<Page<LogEntry>> {
    const items: LogEntry[] = [];
    let total = 0;
    for (const line of this.#ring.latest()) {
      if (!wanted(line)) continue;
      total++;
      if (items.length < limit) items.push(line);
    }
    return { total, items };
  }

  follow(wanted: (line: LogEntry) => boolean, heard: (line: LogEntry) => void): () => void {
    return this.#ring.listen((line) => {
      if (wanted(line)) heard(line);
    });
  }
}
