import { Problem } from './route.ts';

/** Which part of a list is wanted. */
export interface Paging {
  readonly offset: number;
  readonly limit: number;
}

/** Query parameters of every list that has pages. */
export const pagingQuery = {
  offset: 'How many to leave out at the beginning; 0 when absent.',
  limit: 'How many to list; at most so many as one answer holds.',
} as const;

/** `usual` when nothing is said; more than `most` is cut to that: `total` of the answer tells whether there are more. @throws Problem */
export function readPaging(query: URLSearchParams, usual: number, most: number): Paging {
  return { offset: countIn(query, 'offset') ?? 0, limit: Math.min(countIn(query, 'limit') ?? usual, most) };
}

/** The names that a list is sorted by, one of them with a dash in front for the other way round. @throws Problem */
export function readSort<K extends string>(query: URLSearchParams, keys: readonly K[], usual: K): { readonly by: K; readonly descending: boolean } {
  const given = query.get('sort') ?? usual;
  const descending = given.startsWith('-');
  const name = descending ? given.slice(1) : given;
  const by = keys.find((key) => key === name);
  if (by === undefined) throw new Problem(400, 'bad_query', `sort is one of ${keys.join(', ')}, with a dash in front for the other way round.`);
  return { by, descending };
}

function countIn(query: URLSearchParams, name: string): number | null {
  const text = query.get(name);
  if (text === null || text === '') return null;
  if (!/^\d{1,9}$/.test(text)) throw new Problem(400, 'bad_query', `${name} is a whole number.`);
  return Number(text);
}
