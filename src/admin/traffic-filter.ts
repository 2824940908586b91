import { parseDuration } from '../schema/duration.ts';
import type { TrafficItem } from './model.ts';
import { Problem } from './route.ts';

/** Which exchanges somebody wants to see. */
export type TrafficFilter = (item: TrafficItem) => boolean;

/** Query parameters of everything that shows exchanges. */
export const filterQuery = {
  status: 'Such as 404, 5xx, >=500, <400 or 400-499; several separated by commas.',
  path: 'The beginning of the path; with * for any text, all of the path.',
  location: 'Name of a location.',
  upstream: 'Name of an upstream.',
  agent: 'Id of an agent.',
  method: 'Such as GET; several separated by commas.',
  slow: 'Only what took as long, such as 1s or 250ms.',
  host: 'Host that was asked for, without its port.',
  server: 'Name of a server.',
} as const;

/** @throws Problem 400 */
export function readTrafficFilter(query: URLSearchParams): TrafficFilter {
  const tests: TrafficFilter[] = [];
  const given = (name: keyof typeof filterQuery, make: (text: string) => TrafficFilter): void => {
    const text = query.get(name);
    if (text !== null && text !== '') tests.push(make(text));
  };
  given('status', statusTest);
  given('path', pathTest);
  given('location', (text) => (item) => item.location === text);
  given('upstream', (text) => (item) => item.upstream === text);
  given('agent', (text) => (item) => item.agent === text);
  given('server', (text) => (item) => item.server === text);
  given('host', (text) => (item) => item.host.replace(/:\d+$/, '').toLowerCase() === text.toLowerCase());
  given('method', (text) => {
    const methods = new Set(text.toUpperCase().split(','));
    return (item) => methods.has(item.method);
  });
  given('slow', (text) => {
    const ms = durationOf(text);
    return (item) => item.totalMs >= ms;
  });
  return (item) => tests.every((test) => test(item));
}

function durationOf(text: string): number {
  try {
    return parseDuration(text);
  } catch {
    throw new Problem(400, 'bad_query', 'slow is a duration such as 1s or 250ms.');
  }
}

function statusTest(text: string): TrafficFilter {
  const ranges = text.split(',').map(rangeOf);
  return ({ status }) => ranges.some(([from, to]) => status >= from && status <= to);
}

/** First and last status. */
function rangeOf(text: string): readonly [number, number] {
  const [, compare, one, last, group] = /^(?:(>=|<=|>|<|=)?(\d{1,3})(?:-(\d{1,3}))?|([1-5])xx)$/i.exec(text.trim()) ?? [];
  if (group !== undefined) return [Number(group) * 100, Number(group) * 100 + 99];
  if (one === undefined || (compare !== undefined && last !== undefined))
    throw new Problem(400, 'bad_query', 'status is such as 404, 5xx, >=500, <400 or 400-499.');
  const status = Number(one);
  // What runs has none yet.
  const none = 1;
  switch (compare) {
    case '>=':
      return [status, MAX];
    case '>':
      return [status + 1, MAX];
    case '<=':
      return [none, status];
    case '<':
      return [none, status - 1];
    default:
      return [status, last === undefined ? status : Number(last)];
  }
}

const MAX = 999;

function pathTest(text: string): TrafficFilter {
  if (!text.includes('*')) return ({ target }) => pathOf(target).startsWith(text);
  const parts = text.split('*');
  return ({ target }) => fits(pathOf(target), parts);
}

function pathOf(target: string): string {
  return target.split('?', 1)[0]!;
}

/** Do these pieces stand in the text in this order, the first at its beginning and the last at its end? Without a regular expression, which could be made to take for ever. */
function fits(text: string, parts: readonly string[]): boolean {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= text.length - last.length;
}
