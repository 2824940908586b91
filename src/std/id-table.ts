// HOT: one set, some gets and one delete per stream.

/** Something with a number, which stands in at most one table. */
export interface Numbered {
  readonly id: number;
  /** The next one of the same bucket; kept by IdTable. */
  nextById: Numbered | null;
}

/**
 * A hash table from rising numbers to objects, without a Map's habit of rebuilding itself under churn: each rebuilt table of a Map refers to its
 * successor, so that one which has grown old keeps all later ones, and everything that was ever in them, from the young generation's collector.
 */
export class IdTable<T extends Numbered> {
  #buckets: (Numbered | null)[] = new Array<Numbered | null>(16).fill(null);
  #mask = 15;
  size = 0;

  get(id: number): T | undefined {
    let item = this.#buckets[id & this.#mask]!;
    while (item !== null && item.id !== id) item = item.nextById!;
    return (item as T | null) ?? undefined;
  }

  /** Adds an item whose id is not in the table. */
  add(item: T): void {
    if (this.size > this.#mask) this.#grow();
    const at = item.id & this.#mask;
    item.nextById = this.#buckets[at]!;
    this.#buckets[at] = item;
    this.size++;
  }

  delete(id: number): boolean {
    const at = id & this.#mask;
    let before: Numbered | null = null;
    let item = this.#buckets[at]!;
    while (item !== null && item.id !== id) {
      before = item;
      item = item.nextById!;
    }
    if (item === null) return false;
    if (before === null) this.#buckets[at] = item.nextById;
    else before.nextById = item.nextById;
    item.nextById = null;
    this.size--;
    return true;
  }

  /** All items as they are now: a copy, so that they may leave meanwhile. */
  values(): T[] {
    const all: T[] = [];
    for (const first of this.#buckets) for (let item = first; item !== null; item = item.nextById) all.push(item as T);
    return all;
  }

  clear(): void {
    this.#buckets.fill(null);
    this.size = 0;
  }

  #grow(): void {
    const all = this.values();
    this.#buckets = new Array<Numbered | null>(this.#buckets.length * 2).fill(null);
    this.#mask = this.#buckets.length - 1;
    this.size = 0;
    for (const item of all) this.add(item);
  }
}
