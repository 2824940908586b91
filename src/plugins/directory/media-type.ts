import { lookup } from 'mrmime';

/** `Content-Type` of a file by its name. Text says its charset. */
export function mediaTypeOf(name: string, charset: string): string {
  const type = name.includes('.') ? (lookup(name) ?? UNKNOWN) : UNKNOWN;
  return TEXT.test(type) ? `${type}; charset=${charset}` : type;
}

const UNKNOWN = 'application/octet-stream';
const TEXT = /^text\/|[/+](?:json|javascript|xml|manifest\+json)$/;
