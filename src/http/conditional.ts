/** What an answer is known by: `etag` with its quotes, '' = none; `modifiedMs` is Unix time in whole seconds as ms, NaN = not known. */
export interface Validators {
  readonly etag: string;
  readonly modifiedMs: number;
}

/** Has the client what we would send? (RFC 9110 13.1.2, 13.1.3: If-None-Match counts alone where there is one, and compares weakly.) */
export function isNotModified(ifNoneMatch: string | undefined, ifModifiedSince: string | undefined, { etag, modifiedMs }: Validators): boolean {
  if (ifNoneMatch !== undefined) return ifNoneMatch.trim() === '*' || (etag !== '' && names(ifNoneMatch, etag, true));
  return ifModifiedSince !== undefined && modifiedMs <= Date.parse(ifModifiedSince);
}

/** Does a condition of If-Match or If-Unmodified-Since fail? Then the answer is 412 (RFC 9110 13.1.1, 13.1.4). */
export function isPreconditionFailed(ifMatch: string | undefined, ifUnmodifiedSince: string | undefined, { etag, modifiedMs }: Validators): boolean {
  if (ifMatch !== undefined) return ifMatch.trim() !== '*' && !(etag !== '' && names(ifMatch, etag, false));
  return ifUnmodifiedSince !== undefined && modifiedMs > Date.parse(ifUnmodifiedSince);
}

/** May a range be answered with a part? (RFC 9110 13.1.5: what If-Range names must be what we have, compared strongly.) */
export function isRangeWanted(ifRange: string | undefined, { etag, modifiedMs }: Validators): boolean {
  if (ifRange === undefined) return true;
  const given = ifRange.trim();
  return given.startsWith('"') ? given === etag : !given.startsWith('W/') && Date.parse(given) === modifiedMs;
}

function names(list: string, etag: string, weakly: boolean): boolean {
  const plain = opaque(etag);
  if (!weakly && plain !== etag) return false;
  for (const [tag] of list.matchAll(/(?:W\/)?"[^"]*"/g)) if (weakly ? opaque(tag) === plain : tag === etag) return true;
  return false;
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}
