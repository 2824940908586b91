// HOT: walk() runs for every request, on the bytes that came.

/** A question mark ends a path, and stands in no key. */
const QUERY = 63;

interface Node<V> {
  label: Uint8Array;
  /** First bytes of the labels of `children`. */
  firsts: number[];
  children: Node<V>[];
  /** For texts that end here. */
  whole: V | null;
  /** For texts that go on, or end, here. */
  begins: V | null;
}

/** Values by text, and by how a text begins: looking up costs the length of the text, however many there are. */
export class ByteTrie<V> {
  readonly #root: Node<V> = leaf(new Uint8Array(0));

  /** The value of this key, made when there is none. */
  at(key: Uint8Array, place: 'whole' | 'begins', make: () => V): V {
    const node = this.#node(key);
    return (node[place] ??= make());
  }

  /**
   * Puts into `hits` what fits bytes[from..to), which a `?` ends as well: the beginnings from the shortest to the longest, then the whole.
   * @returns how many there are
   */
  walk(bytes: Uint8Array, from: number, to: number, hits: V[]): number {
    let node = this.#root;
    let count = 0;
    let i = from;
    for (;;) {
      if (node.begins !== null) hits[count++] = node.begins;
      if (i >= to || bytes[i] === QUERY) {
        if (node.whole !== null) hits[count++] = node.whole;
        return count;
      }
      const { firsts } = node;
      const first = bytes[i]!;
      let child = 0;
      while (child < firsts.length && firsts[child] !== first) child++;
      if (child === firsts.length) return count;
      node = node.children[child]!;
      const { label } = node;
      if (to - i < label.length) return count;
      for (let j = 1; j < label.length; j++) if (label[j] !== bytes[i + j]) return count;
      i += label.length;
    }
  }

  /** The node of this key, with the nodes that lead there. */
  #node(key: Uint8Array): Node<V> {
    let node = this.#root;
    let i = 0;
    while (i < key.length) {
      const child = node.firsts.indexOf(key[i]!);
      if (child < 0) {
        const made = leaf<V>(key.slice(i));
        node.firsts.push(key[i]!);
        node.children.push(made);
        return made;
      }
      const next = node.children[child]!;
      let same = 1;
      while (same < next.label.length && i + same < key.length && next.label[same] === key[i + same]) same++;
      if (same < next.label.length) {
        const upper = leaf<V>(next.label.slice(0, same));
        upper.firsts.push(next.label[same]!);
        upper.children.push(next);
        next.label = next.label.slice(same);
        node.children[child] = upper;
        node = upper;
      } else node = next;
      i += same;
    }
    return node;
  }
}

function leaf<V>(label: Uint8Array): Node<V> {
  return { label, firsts: [], children: [], whole: null, begins: null };
}
