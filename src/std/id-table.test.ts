import fc from 'fast-check';
import { expect, it } from 'vitest';
import { IdTable, type Numbered } from './id-table.ts';

class Item {
  readonly id: number;
  nextById: Numbered | null = null;
  constructor(id: number) {
    this.id = id;
  }
}

it('an id table agrees with a Map over any mix of additions and deletions', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 300 })), { maxLength: 600 }), (steps) => {
      const table = new IdTable<Item>();
      const map = new Map<number, Item>();
      for (const [add, id] of steps) {
        if (add && !map.has(id)) {
          const item = new Item(id);
          table.add(item);
          map.set(id, item);
        } else if (!add) expect(table.delete(id)).toBe(map.delete(id));
        expect(table.size).toBe(map.size);
      }
      for (let id = 0; id <= 300; id++) expect(table.get(id)).toBe(map.get(id));
      expect(new Set(table.values())).toEqual(new Set(map.values()));
    }),
  );
});
