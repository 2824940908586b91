/**
 * Items `offset` to `offset + limit` of all, as they would stand in order: what lies before and behind is not put in order, which takes a fraction of the time with
 * thousands. `all` is turned over meanwhile. `compare` never says 0 of two different items.
 */
export function pageOf<T>(all: T[], compare: (a: T, b: T) => number, offset: number, limit: number): T[] {
  const end = Math.min(all.length, offset + limit);
  if (offset >= end) return [];
  place(all, compare, offset);
  place(all, compare, end - 1, offset);
  return all.slice(offset, end).sort(compare);
}

/** Twice as many as thousands in any usual order need. Whoever gives names could choose them so that every round leaves out hardly anything. */
const ROUNDS = 40;

/** Puts that item at `wanted` which belongs there, those before it in front of it and all others behind (quickselect). What lies before `from` is in its place. */
function place<T>(all: T[], compare: (a: T, b: T) => number, wanted: number, from = 0): void {
  let [low, high] = [from, all.length - 1];
  for (let round = 0; low < high; round++) {
    if (round === ROUNDS) {
      for (const [i, one] of all
        .slice(low, high + 1)
        .toSorted(compare)
        .entries())
        all[low + i] = one;
      return;
    }
    const pivot = medianOf(all[low]!, all[(low + high) >> 1]!, all[high]!, compare);
    let [left, right] = [low, high];
    while (left <= right) {
      while (compare(all[left]!, pivot) < 0) left++;
      while (compare(all[right]!, pivot) > 0) right--;
      if (left > right) break;
      const one = all[left]!;
      all[left++] = all[right]!;
      all[right--] = one;
    }
    if (wanted <= right) high = right;
    else if (wanted >= left) low = left;
    else return;
  }
}

function medianOf<T>(a: T, b: T, c: T, compare: (a: T, b: T) => number): T {
  if (compare(a, b) < 0) return compare(b, c) < 0 ? b : compare(a, c) < 0 ? c : a;
  return compare(a, c) < 0 ? a : compare(b, c) < 0 ? c : b;
}
