import { describe, expect, it } from 'vitest';
import { type Slab, SLAB_BYTES, Slabs } from './slabs.ts';

/** Writes `n` bytes of `fill`, as a writer would. */
function write(slabs: Slabs, n: number, fill: number): { slab: Slab; view: Buffer } {
  const slab = slabs.take(n);
  const from = slab.at;
  slab.bytes.fill(fill, from, from + n);
  slab.at = from + n;
  return { slab, view: slab.bytes.subarray(from, from + n) };
}

describe('slabs', () => {
  it('hand out the same slab until it is full', () => {
    const slabs = new Slabs();
    const a = write(slabs, 1000, 1);
    const b = write(slabs, 1000, 2);
    expect(b.slab).toBe(a.slab);
    expect(write(slabs, SLAB_BYTES / 2 - 1, 3).slab).toBe(a.slab);
    expect(write(slabs, SLAB_BYTES / 2 - 1, 4).slab).not.toBe(a.slab);
  });

  it('use a slab again only when every byte of it was given back', () => {
    const slabs = new Slabs();
    const seen = new Set<Buffer>();
    const held: { view: Buffer; fill: number }[] = [];
    for (let i = 0; i < 20_000; i++) {
      const fill = i & 0xff;
      const { slab, view } = write(slabs, 100 + (i % 900), fill);
      seen.add(slab.bytes);
      if (i % 1500 === 0) held.push({ view, fill });
      else slabs.release(slab, view.length);
    }
    for (const { view, fill } of held) expect(view.every((byte) => byte === fill)).toBe(true);
    // 10 MB went through; what is held pins its slabs, the others came back.
    expect(seen.size).toBeLessThan(20);
  });

  it('never use a slab again of which a byte is still pending when it is retired, but do so once that byte is given back', () => {
    const slabs = new Slabs();
    const pending = write(slabs, 10, 9);
    const rest = write(slabs, SLAB_BYTES / 2 - 1, 1);
    const rest2 = write(slabs, SLAB_BYTES / 2 - 100, 1);
    slabs.release(rest.slab, rest.view.length);
    slabs.release(rest2.slab, rest2.view.length);
    const next = write(slabs, SLAB_BYTES / 2 - 1, 2);
    expect(next.slab).not.toBe(pending.slab);
    slabs.release(pending.slab, 10);
    write(slabs, SLAB_BYTES / 2 - 1, 3);
    expect(write(slabs, SLAB_BYTES / 2 - 1, 4).slab).toBe(pending.slab);
  });

  it('give memory of its own to what would waste a slab', () => {
    const slabs = new Slabs();
    const small = write(slabs, 10, 1);
    const large = write(slabs, SLAB_BYTES * 2, 2);
    expect(large.slab).not.toBe(small.slab);
    expect(write(slabs, 10, 3).slab).toBe(small.slab);
  });
});
