import { type LineSink, Lines } from '../../observe/lines.ts';
import { LogFile } from '../../observe/log-file.ts';
import type { AccessLogSpec } from '../../schema/access-log.ts';
import type { Journal } from '../../proxy/journal.ts';
import { TemplateJournal } from '../../proxy/template-journal.ts';
import type { House } from '../house.ts';

/** Where lines go, and who writes there. */
interface Sink {
  readonly lines: LineSink;
  readonly journals: Map<string, Journal>;
}

/** The access logs of a gateway. Servers that name the same file write to the same, and one that stays the same across a reload is not opened anew. */
export class Journals {
  readonly #house: House;
  readonly #sinks = new Map<string, Sink>();

  constructor(house: House) {
    this.#house = house;
  }

  /** @throws the error of opening the file */
  open({ target, template, text }: AccessLogSpec): Journal {
    const key = JSON.stringify(target);
    let sink = this.#sinks.get(key);
    if (sink === undefined) {
      sink = { lines: this.#openLines(target), journals: new Map() };
      this.#sinks.set(key, sink);
      this.#house.accessLogs.add(sink.lines);
    }
    let journal = sink.journals.get(text);
    if (journal === undefined) {
      journal = new TemplateJournal(template, sink.lines, () => this.#house.loop.clock.wall());
      sink.journals.set(text, journal);
    }
    return journal;
  }

  #openLines(target: AccessLogSpec['target']): LineSink {
    const { log, loop } = this.#house;
    const trouble = (error: Error): void => log.warn({ error: error.message }, 'the access log loses lines');
    return target === 'stdout' ? new Lines({ target: 1, trouble }) : new LogFile(target, { wall: () => loop.clock.wall(), trouble });
  }

  /** Closes what none of these writes to, once the requests that began with it have ended. */
  keepOnly(used: ReadonlySet<Journal>, afterMs: number): void {
    for (const [key, sink] of this.#sinks) {
      if ([...sink.journals.values()].some((journal) => used.has(journal))) continue;
      this.#sinks.delete(key);
      setTimeout(() => {
        this.#house.accessLogs.delete(sink.lines);
        void sink.lines.close();
      }, afterMs).unref();
    }
  }

  /** Opens all files anew, after a rotation by others. */
  reopen(): void {
    for (const { lines } of this.#sinks.values()) lines.reopen();
  }
}
