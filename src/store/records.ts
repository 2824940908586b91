/** Small records by id that outlive the process, all of them held at once. */
export interface Records<T> {
  /** All there are. @throws StoreError when they cannot be read */
  all(): Promise<ReadonlyMap<string, T>>;
  /** Reads, changes and writes as one: what others change meanwhile is not lost. @throws StoreError; then nothing has changed */
  change<R>(edit: (records: Map<string, T>) => R): Promise<R>;
  /** Tells of changes since the last all(), whoever made them, and of records that cannot be read any more. @returns ends it */
  follow(changed: (records: ReadonlyMap<string, T>) => void, failed: (error: Error) => void): () => void;
}

/** How records of one kind are written in JSON. */
export interface RecordForm<T> {
  /** Stands in the file, so that files are not taken for others. */
  readonly kind: string;
  /** @throws Error whose message ends the sentence `record x …` */
  read(value: unknown): T;
  write(record: T): unknown;
}

/** Records that cannot be read or written; the message names the file and the place in it. */
export class StoreError extends Error {}
