// HOT: removeHopByHop() runs per head.
import { type Head, REMOVED, RequestHead, ResponseHead, STRIDE } from './head.ts';
import {
  CONNECTION,
  HTTP2_SETTINGS,
  idOfName,
  KEEP_ALIVE,
  PROXY_AUTHENTICATE,
  PROXY_AUTHORIZATION,
  PROXY_CONNECTION,
  TE,
  TOKEN,
  TRANSFER_ENCODING,
  UPGRADE,
} from './names.ts';

/** Fields that `Connection` cannot make us drop: routing, framing, and what protects somebody end to end (threat row 21). */
const PROTECTED: ReadonlySet<number> = new Set(
  (
    [
      'host',
      'content-length',
      'content-type',
      'content-encoding',
      'authorization',
      'cookie',
      'set-cookie',
      'cache-control',
      'origin',
      'location',
      'date',
      'via',
    ] as const
  ).map(idOfName),
);

/**
 * Takes the fields that are about one connection out of a head (RFC 9110 7.6.1), what `Connection` names included, and keeps what they say
 * in `keepAlive`, `upgrade` and `trailers`.
 */
export function removeHopByHop(head: Head): void {
  const { first } = head;
  head.keepAlive = head.minor === 1;
  if (first[CONNECTION] !== 0) readConnection(head);
  if (first[TE] !== 0) {
    if (head instanceof RequestHead) head.trailers = takesTrailers(head);
    head.remove(TE);
  }
  if (first[TRANSFER_ENCODING] !== 0) head.remove(TRANSFER_ENCODING);
  if (first[KEEP_ALIVE] !== 0) {
    if (head instanceof ResponseHead) head.keepAliveS = Number(/(?:^|[,\s])timeout=(\d{1,6})/i.exec(head.value(KEEP_ALIVE))?.[1] ?? 0);
    head.remove(KEEP_ALIVE);
  }
  if (first[PROXY_CONNECTION] !== 0) head.remove(PROXY_CONNECTION);
  if (first[UPGRADE] !== 0) head.remove(UPGRADE);
  if (first[HTTP2_SETTINGS] !== 0) head.remove(HTTP2_SETTINGS);
  if (first[PROXY_AUTHORIZATION] !== 0) head.remove(PROXY_AUTHORIZATION);
  if (first[PROXY_AUTHENTICATE] !== 0) head.remove(PROXY_AUTHENTICATE);
}

function readConnection(head: Head): void {
  // What nearly everybody sends.
  const f = (head.first[CONNECTION]! - 1) * STRIDE;
  if (isOption(head, f, KEEP_ALIVE_OPTION) && isOnly(head, f, CONNECTION)) {
    head.keepAlive = true;
    head.first[CONNECTION] = 0;
    head.fields[f + 4] = CONNECTION | REMOVED;
    return;
  }
  for (const part of all(head, CONNECTION).split(',')) {
    const option = part.trim().toLowerCase();
    if (option === 'close') head.keepAlive = false;
    else if (option === 'keep-alive') {
      if (head.minor === 0) head.keepAlive = true;
    } else if (option === 'upgrade') {
      if (head.minor === 1) head.upgrade = all(head, UPGRADE);
    } else if (option !== '' && option !== 'te' && !PROTECTED.has(idOfName(option))) {
      head.removeName(option);
    }
  }
  // `close` wins over `keep-alive`, whatever their order.
  if (/(^|,)\s*close\s*(,|$)/i.test(all(head, CONNECTION))) head.keepAlive = false;
  head.remove(CONNECTION);
}

/** Compared where it stands: to make a string of it costs more than all else that is done with a short head. */
function isOption({ bytes, fields }: Head, f: number, option: string): boolean {
  const from = fields[f + 2]!;
  if (fields[f + 3]! - from !== option.length) return false;
  for (let i = 0; i < option.length; i++) if (TOKEN[bytes[from + i]!] !== option.charCodeAt(i)) return false;
  return true;
}

const KEEP_ALIVE_OPTION = 'keep-alive';
const TRAILERS_OPTION = 'trailers';

/** Does no other field of this id follow the one at fields[f]? */
function isOnly(head: Head, f: number, id: number): boolean {
  for (let g = f + STRIDE; g < head.count * STRIDE; g += STRIDE) if (head.fields[g + 4] === id) return false;
  return true;
}

/** Does `TE` take trailers? Every request of gRPC says so, and nothing else there. */
function takesTrailers(head: Head): boolean {
  const f = (head.first[TE]! - 1) * STRIDE;
  if (isOption(head, f, TRAILERS_OPTION) && isOnly(head, f, TE)) return true;
  return /(^|,)\s*trailers\s*(,|;|$)/i.test(all(head, TE));
}

/** The values of all fields of one id, removed ones too, joined with commas. */
function all(head: Head, id: number): string {
  let text = '';
  for (let i = 0; i < head.count; i++) {
    const f = i * STRIDE;
    if ((head.fields[f + 4]! & ~REMOVED) !== id) continue;
    const value = head.bytes.latin1Slice(head.fields[f + 2]!, head.fields[f + 3]!);
    text = text === '' ? value : `${text}, ${value}`;
  }
  return text;
}
