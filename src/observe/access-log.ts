// HOT: write() runs once per request when the access log is on: one string, no regular expression unless a value needs escapes.
import type { LineSink } from './lines.ts';
import { quoted, redactedTarget, tenths, word } from './log-text.ts';

/** What one line says. May be a scratch object: nothing of it is held. */
export interface AccessRecord {
  /** When the line is written, ms since the Unix epoch. */
  wallMs: number;
  /** The client's address, as trusted. */
  client: string;
  method: string;
  /** Request target with its query. */
  target: string;
  /** What the client spoke: `1.1`, `1.0` or `2.0`. */
  version: string;
  /** Status that went out, or 499 / 598, which never do. */
  status: number;
  replyBytes: number;
  requestBytes: number;
  /** From the first byte of the request to the last of the answer, ms. */
  totalMs: number;
  /** Wait for a slot, ms. */
  waitMs: number;
  /** Id of the agent that answered, or ''. */
  agent: string;
  endpoint: string;
  attempts: number;
  /** Failure code, or ''. */
  failure: string;
  host: string;
  /** Attempts that failed before the one that counts: `endpoint:code`, comma separated; `no_budget` for one that was not made. '' when there were none. */
  tries: string;
}

/**
 * One line per request:
 * `2026-01-02T03:04:05.678Z 192.0.2.7 "GET /v1/models HTTP/1.1" 200 out=1024 in=0 ms=12.3 wait=0 attempts=1 agent=7f endpoint=gpu failure=- host=example.org`
 *
 * Whatever a client sent is escaped (`\xNN`), so that a line is always one line of printable ASCII; secrets in the query are removed.
 */
export class AccessLog implements Omit<LineSink, 'write'> {
  readonly #lines: LineSink;
  #second = -1;
  #prefix = '';

  constructor(lines: LineSink) {
    this.#lines = lines;
  }

  write(record: AccessRecord): void {
    this.#lines.write(this.format(record));
  }

  /** Lines that were given up because the target did not take them. */
  get dropped(): number {
    return this.#lines.dropped;
  }

  reopen(): void {
    this.#lines.reopen();
  }

  close(): Promise<void> {
    return this.#lines.close();
  }

  /** The line, newline included. */
  format(r: AccessRecord): string {
    return `${this.#time(r.wallMs)} ${word(r.client)} "${quoted(r.method)} ${quoted(redactedTarget(r.target))} HTTP/${r.version}" ${r.status} out=${r.replyBytes} in=${r.requestBytes} ms=${tenths(r.totalMs)} wait=${tenths(r.waitMs)} attempts=${r.attempts} agent=${word(r.agent)} endpoint=${word(r.endpoint)} failure=${r.failure === '' ? '-' : r.failure} host=${word(r.host)}${r.tries === '' ? '' : ` tries=${word(r.tries)}`}\n`;
  }

  #time(ms: number): string {
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = new Date(second * 1000).toISOString().slice(0, 20);
    }
    const rest = Math.floor(ms) - second * 1000;
    return rest > 99 ? `${this.#prefix}${rest}Z` : rest > 9 ? `${this.#prefix}0${rest}Z` : `${this.#prefix}00${rest}Z`;
  }
}
