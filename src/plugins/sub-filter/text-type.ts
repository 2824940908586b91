/** May text be replaced in it without breaking it? What is text, event streams too. */
export function isText(contentType: string): boolean {
  const end = contentType.indexOf(';');
  const type = (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  // Messages with lengths before them, which another text would not fit.
  if (type.startsWith('application/grpc')) return false;
  if (/charset\s*=\s*"?utf-?(?:16|32)/i.test(contentType)) return false;
  return type.startsWith('text/') || type.endsWith('+json') || type.endsWith('+xml') || TYPES.has(type);
}

const TYPES: ReadonlySet<string> = new Set([
  'application/javascript',
  'application/json',
  'application/jsonl',
  'application/ndjson',
  'application/x-javascript',
  'application/x-ndjson',
  'application/xml',
]);
