// HOT: find() runs per request.
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { KEY_CHARS } from './limits.ts';

/** What is remembered under a key. It is the node of the list that says who was quiet longest. */
export class Kept<T> {
  readonly key: string;
  readonly value: T;
  newer: Kept<T> | null = null;
  older: Kept<T> | null = null;

  constructor(key: string, value: T) {
    this.key = key;
    this.value = value;
  }
}

/** A bounded table: when it is full, what was not asked for longest makes room. Finding what is there allocates nothing. */
export class KeyTable<T> {
  readonly #max: number;
  readonly #make: () => T;
  readonly #byKey = new Map<string, Kept<T>>();
  #newest: Kept<T> | null = null;
  #oldest: Kept<T> | null = null;

  constructor(max: number, make: () => T) {
    this.#max = max;
    this.#make = make;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** What is kept under the key, made when there is nothing yet. */
  find(given: string): T {
    const key = shortKey(given);
    const kept = this.#byKey.get(key);
    if (kept === undefined) return this.#add(ownCopy(key));
    if (kept !== this.#newest) {
      this.#unlink(kept);
      this.#link(kept);
    }
    return kept.value;
  }

  #add(key: string): T {
    if (this.#byKey.size >= this.#max) {
      const oldest = this.#oldest!;
      this.#unlink(oldest);
      this.#byKey.delete(oldest.key);
    }
    const kept = new Kept(key, this.#make());
    this.#byKey.set(key, kept);
    this.#link(kept);
    return kept.value;
  }

  #link(kept: Kept<T>): void {
    kept.older = this.#newest;
    kept.newer = null;
    if (this.#newest === null) this.#oldest = kept;
    else this.#newest.newer = kept;
    this.#newest = kept;
  }

  #unlink(kept: Kept<T>): void {
    if (kept.newer === null) this.#newest = kept.older;
    else kept.newer.older = kept.older;
    if (kept.older === null) this.#oldest = kept.newer;
    else kept.older.newer = kept.newer;
  }
}

/** A key of bounded length: clients choose what stands in headers. */
export function shortKey(key: string): string {
  return key.length <= KEY_CHARS ? key : `#${createHash('sha256').update(key, 'utf16le').digest('base64')}`;
}

/** A text cut out of a head would keep all of the head in memory. */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le');
}
