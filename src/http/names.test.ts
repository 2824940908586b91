import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { ID_COUNT, lookUp, lookUpToken, nameOfId, TCHAR } from './names.ts';

const TCHARS = [...TCHAR.keys()].filter((c) => TCHAR[c] !== 0);

/** What both ways say of a name that stands in the middle of other text, as it does in a head. */
function idsOf(name: string): [number, number] {
  const bytes = Buffer.from(`a: b\r\n${name}: c\r\n`, 'latin1');
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return [lookUpToken(words, bytes, 6, 6 + name.length), lookUp(bytes, 6, 6 + name.length)];
}

test('a name is known by its words in whatever capitals it is written', () => {
  for (let id = 1; id < ID_COUNT; id++) {
    const name = nameOfId(id);
    const mixed = name
      .split('')
      .map((c, i) => (i % 2 === 0 ? c.toUpperCase() : c))
      .join('');
    for (const spelled of [name, name.toUpperCase(), mixed]) expect([spelled, ...idsOf(spelled)]).toEqual([spelled, id, id]);
  }
});

test('a name in which one byte is another tchar is not taken for the one that it resembles', () => {
  for (let id = 1; id < ID_COUNT; id++) {
    const name = nameOfId(id);
    for (let at = 0; at < name.length; at++) {
      for (const c of TCHARS) {
        const other = name.slice(0, at) + String.fromCharCode(c) + name.slice(at + 1);
        const [fast, sure] = idsOf(other);
        if (fast !== sure) expect([other, fast]).toEqual([other, sure]);
      }
    }
  }
});

test('a name with a byte more or less than one that is known is another', () => {
  for (let id = 1; id < ID_COUNT; id++) {
    const name = nameOfId(id);
    for (const other of [name.slice(1), name.slice(0, -1), `${name}s`, `x${name}`, `${name}-${name}`]) {
      if (other === '') continue;
      const [fast, sure] = idsOf(other);
      expect([other, fast]).toEqual([other, sure]);
    }
  }
});
