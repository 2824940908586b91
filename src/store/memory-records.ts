import type { Records } from './records.ts';

/** Records that live as long as the process. */
export class MemoryRecords<T> implements Records<T> {
  #records: ReadonlyMap<string, T>;
  readonly #followers = new Set<(records: ReadonlyMap<string, T>) => void>();

  constructor(records: Iterable<readonly [string, T]> = []) {
    this.#records = new Map(records);
  }

  all(): Promise<ReadonlyMap<string, T>> {
    return Promise.resolve(this.#records);
  }

  async change<R>(edit: (records: Map<string, T>) => R): Promise<R> {
    const records = new Map(this.#records);
    const result = edit(records);
    this.#records = records;
    for (const changed of this.#followers) changed(records);
    return result;
  }

  follow(changed: (records: ReadonlyMap<string, T>) => void): () => void {
    this.#followers.add(changed);
    return () => void this.#followers.delete(changed);
  }
}
