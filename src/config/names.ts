import { nearest } from '../schema/nearest.ts';

/** For messages about a name that is not there. */
export function didYouMean(name: string, names: Iterable<string>, otherwise: string): string {
  const near = nearest(name, names);
  return near === null ? otherwise : `did you mean ${near}?`;
}
