import type * as jose from 'jose';

/** The library for JWS and JWK. It is loaded with the first plugin that needs it, so that others do not pay for it. */
export type Jose = typeof jose;

export function loadJose(): Promise<Jose> {
  return import('jose');
}
