/** Is it worth compressing? By the type alone: text in its many guises. Pictures, films and archives are compressed already. */
export function isCompressible(contentType: string): boolean {
  const end = contentType.indexOf(';');
  const type = (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
  // Events must arrive when they are sent.
  if (type === 'text/event-stream') return false;
  // Messages with lengths before them, whatever they are written in; gRPC compresses them itself.
  if (type.startsWith('application/grpc')) return false;
  return type.startsWith('text/') || type.endsWith('+json') || type.endsWith('+xml') || TYPES.has(type);
}

/** The narrower choice of Pingap's mode upstream. */
export function isDocument(contentType: string): boolean {
  return isCompressible(contentType) && /json|xml|html|text/i.test(contentType);
}

const TYPES: ReadonlySet<string> = new Set([
  'application/graphql',
  'application/javascript',
  'application/json',
  'application/json-seq',
  'application/jsonl',
  'application/manifest',
  'application/ndjson',
  'application/rtf',
  'application/sql',
  'application/toml',
  'application/vnd.ms-fontobject',
  'application/wasm',
  'application/x-javascript',
  'application/x-ndjson',
  'application/x-sh',
  'application/x-yaml',
  'application/xml',
  'application/yaml',
  'font/otf',
  'font/ttf',
  'image/bmp',
  'image/vnd.microsoft.icon',
  'image/x-icon',
]);
