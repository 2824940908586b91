import { soon, until } from './until.ts';

/** Clients that ask one request after the other, all the time, and remember what went wrong. */
export class SteadyClients {
  /** One request. @returns who served it @throws when it failed */
  ask: () => Promise<string>;
  readonly failures: string[] = [];
  readonly #served = new Map<string, number>();
  readonly #loops: Promise<void>[];
  #stopped = false;

  constructor(ask: () => Promise<string>, clients = 3) {
    this.ask = ask;
    this.#loops = Array.from({ length: clients }, () => this.#run());
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const by = await this.ask();
        this.#served.set(by, (this.#served.get(by) ?? 0) + 1);
      } catch (error) {
        this.failures.push(String(error));
        // One cause must not fill the memory.
        if (this.failures.length > 20) return;
      }
    }
  }

  /** Waits for ten more answers of each of these. */
  async servedBy(...names: readonly string[]): Promise<void> {
    const wanted = new Map(names.map((name) => [name, (this.#served.get(name) ?? 0) + 10]));
    const enough = (): boolean => {
      if (this.failures.length > 0) throw new Error(`a request failed: ${this.failures[0]}`);
      return [...wanted].every(([name, count]) => (this.#served.get(name) ?? 0) >= count);
    };
    // Whoever is to answer may still be starting.
    await until(`answers of ${names.join(' and ')}`, enough, 20_000);
  }

  /** Whoever has served so far is not counted any more. */
  forget(): void {
    this.#served.clear();
  }

  get servers(): string[] {
    return [...this.#served.keys()].toSorted();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await soon('the last answers of clients', Promise.all(this.#loops));
  }
}
