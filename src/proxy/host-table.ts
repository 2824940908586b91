// HOT: find() runs for every request, on the bytes that came.
import { TOKEN } from '../http/names.ts';

const COLON = 58;
const DOT = 46;
const FACTOR = 31;
const SLOTS_AT_START = 16;

/** One name of the table. */
interface Entry<V> {
  readonly name: string;
  readonly hash: number;
  /** For the host of this name. */
  whole: V | null;
  /** For all hosts that end with it. */
  below: V | null;
}

/** Values by host (`example.com`) and by how a host ends (`.example.com`): one pass from the end of the host, and one look for each label. */
export class HostTable<V> {
  /** By hash; at most half of it is used. */
  #slots: (Entry<V> | null)[] = new Array<Entry<V> | null>(SLOTS_AT_START).fill(null);
  #count = 0;

  /** The value of a name in lower case, made when there is none. */
  at(name: string, place: 'whole' | 'below', make: () => V): V {
    let hash = 0;
    for (let i = name.length - 1; i >= 0; i--) hash = (Math.imul(hash, FACTOR) + name.charCodeAt(i)) | 0;
    const slot = this.#slotOf(name, hash);
    let entry = this.#slots[slot]!;
    if (entry === null) {
      entry = { name, hash, whole: null, below: null };
      this.#slots[slot] = entry;
      if (++this.#count * 2 > this.#slots.length) this.#grow();
    }
    return (entry[place] ??= make());
  }

  /**
   * Puts into `hits` what fits the host at bytes[from..to), whose case, port and final dot do not count; no IPv6 address.
   * @returns how many there are
   */
  find(bytes: Uint8Array, from: number, to: number, hits: V[]): number {
    let end = from;
    while (end < to && bytes[end] !== COLON) end++;
    if (end > from && bytes[end - 1] === DOT) end--;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hash = 0;
    let count = 0;
    for (let i = end - 1; i >= from; i--) {
      const c = TOKEN[bytes[i]!]!;
      hash = (Math.imul(hash, FACTOR) + c) | 0;
      if (c !== DOT && i > from) continue;
      for (let slot = hash & mask; slots[slot] !== null; slot = (slot + 1) & mask) {
        const entry = slots[slot]!;
        if (entry.hash !== hash || !isSame(entry.name, bytes, i, end)) continue;
        if (entry.below !== null) hits[count++] = entry.below;
        if (i === from && entry.whole !== null) hits[count++] = entry.whole;
        break;
      }
    }
    return count;
  }

  #slotOf(name: string, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    while (slots[slot] !== null && slots[slot]!.name !== name) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Array<Entry<V> | null>(old.length * 2).fill(null);
    for (const entry of old) if (entry !== null) this.#slots[this.#slotOf(entry.name, entry.hash)] = entry;
  }
}

function isSame(name: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) !== TOKEN[bytes[from + i]!]) return false;
  return true;
}
