// HOT: lookUp() runs for every field of every head.
import { Buffer } from 'node:buffer';

/**
 * Field names the proxy has an opinion on. A name's id is its place in this list, from 1; every other name has id 0.
 * Ids exist only inside the process: they never travel.
 */
const KNOWN = [
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'http2-settings',
  'proxy-authorization',
  'proxy-authenticate',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'x-forwarded-server',
  'x-forwarded-scheme',
  'x-forwarded-ssl',
  'x-forwarded-prefix',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'client-cert',
  'client-cert-chain',
  'x-client-cert',
  'x-client-verify',
  'x-client-dn',
  'ssl-client-cert',
  'ssl-client-verify',
  'ssl-client-subject-dn',
  'ssl-client-issuer-dn',
  'x-ssl-cert',
  'x-ssl-client-cert',
  'x-ssl-client-verify',
  'x-ssl-client-s-dn',
  'x-ssl-client-i-dn',
  'x-forwarded-client-cert',
  'x-forwarded-tls-client-cert',
  'x-forwarded-tls-client-cert-info',
  'x-amzn-mtls-clientcert',
  'x-amzn-mtls-clientcert-leaf',
  'x-amzn-mtls-clientcert-subject',
  'x-amzn-mtls-clientcert-issuer',
  'x-amzn-mtls-clientcert-serial-number',
  'x-amzn-mtls-clientcert-validity',
  'x-arr-clientcert',
  'via',
  'authorization',
  'cookie',
  'accept',
  'prefer',
  'date',
  'retry-after',
  'content-type',
  'slime-app-password',
  'slime-scope',
  'slime-block',
  'slime-agent-id',
  'slime-agent-token',
  'slime-connection-id',
  'windlass-token',
  'windlass-hub',
  'x-request-id',
  'user-agent',
  'referer',
  'set-cookie',
  'content-encoding',
  'traceparent',
  'tracestate',
  'priority',
  'server',
  'location',
  'cache-control',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-accept',
  'origin',
  'accept-encoding',
  'range',
  'if-range',
  'if-none-match',
  'if-modified-since',
  'if-match',
  'if-unmodified-since',
  'pragma',
  'grpc-timeout',
] as const;

export type KnownName = (typeof KNOWN)[number];

const idOf = (name: KnownName): number => KNOWN.indexOf(name) + 1;

export const HOST: number = idOf('host');
export const CONTENT_LENGTH: number = idOf('content-length');
export const TRANSFER_ENCODING: number = idOf('transfer-encoding');
export const CONNECTION: number = idOf('connection');
export const KEEP_ALIVE: number = idOf('keep-alive');
export const PROXY_CONNECTION: number = idOf('proxy-connection');
export const TE: number = idOf('te');
export const TRAILER: number = idOf('trailer');
export const UPGRADE: number = idOf('upgrade');
export const EXPECT: number = idOf('expect');
export const HTTP2_SETTINGS: number = idOf('http2-settings');
export const PROXY_AUTHORIZATION: number = idOf('proxy-authorization');
export const PROXY_AUTHENTICATE: number = idOf('proxy-authenticate');
export const FORWARDED: number = idOf('forwarded');
export const X_FORWARDED_FOR: number = idOf('x-forwarded-for');
export const X_FORWARDED_PROTO: number = idOf('x-forwarded-proto');
export const X_FORWARDED_HOST: number = idOf('x-forwarded-host');
export const X_FORWARDED_PORT: number = idOf('x-forwarded-port');
export const X_REAL_IP: number = idOf('x-real-ip');
/**
 * Fields that say who the client is or which certificate it showed, from `Forwarded` to this one without a gap. Only a proxy that stands between may
 * say so: from anybody else they are dropped (threat rows 22 and 75). How Envoy, nginx, HAProxy, Traefik, AWS, Azure and RFC 9440 spell them.
 */
export const LAST_CLAIM: number = idOf('x-arr-clientcert');
export const VIA: number = idOf('via');
export const AUTHORIZATION: number = idOf('authorization');
export const ACCEPT: number = idOf('accept');
export const PREFER: number = idOf('prefer');
export const DATE: number = idOf('date');
export const SLIME_APP_PASSWORD: number = idOf('slime-app-password');
export const SLIME_SCOPE: number = idOf('slime-scope');
export const SLIME_BLOCK: number = idOf('slime-block');
export const SLIME_AGENT_ID: number = idOf('slime-agent-id');
export const SLIME_AGENT_TOKEN: number = idOf('slime-agent-token');
export const SLIME_CONNECTION_ID: number = idOf('slime-connection-id');
export const CONTENT_TYPE: number = idOf('content-type');
export const GRPC_TIMEOUT: number = idOf('grpc-timeout');
export const WINDLASS_TOKEN: number = idOf('windlass-token');
export const WINDLASS_HUB: number = idOf('windlass-hub');
export const USER_AGENT: number = idOf('user-agent');
export const X_REQUEST_ID: number = idOf('x-request-id');
export const REFERER: number = idOf('referer');
export const COOKIE: number = idOf('cookie');
export const TRACEPARENT: number = idOf('traceparent');
export const TRACESTATE: number = idOf('tracestate');
export const SEC_WEBSOCKET_KEY: number = idOf('sec-websocket-key');
export const SEC_WEBSOCKET_VERSION: number = idOf('sec-websocket-version');
export const SEC_WEBSOCKET_ACCEPT: number = idOf('sec-websocket-accept');

/** One more than the largest id. */
export const ID_COUNT: number = KNOWN.length + 1;

/** Lower-cased byte for every tchar (RFC 9110 5.6.2), 0 for all others. */
export const TOKEN: Uint8Array = (() => {
  const table = new Uint8Array(256);
  for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") table[c.charCodeAt(0)] = c.charCodeAt(0);
  for (let c = 65; c <= 90; c++) table[c] = c + 32;
  return table;
})();

/** 1 for bytes allowed in a field value: HTAB, SP, visible, obs-text (RFC 9110 5.5). */
export const VALUE: Uint8Array = (() => {
  const table = new Uint8Array(256).fill(1, 0x20);
  table[9] = 1;
  table[0x7f] = 0;
  return table;
})();

/** 1 for every tchar, 0 for all others: unlike TOKEN's bytes these can be combined with `&`. */
export const TCHAR: Uint8Array = TOKEN.map((lower) => (lower === 0 ? 0 : 1));

/** Length, first, middle and last byte tell nearly all names apart that we know; lookUp() compares the rest. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  return ((length * 31 + TOKEN[bytes[start]!]!) * 31 + TOKEN[bytes[start + (length >> 1)]!]!) * 31 + TOKEN[bytes[end - 1]!]!;
}

const SLOTS = 512;
const byHash = new Uint8Array(SLOTS);
/** All names behind each other; that of an id from spelledAt[id] to spelledAt[id + 1]. */
const spelled: Uint8Array = Buffer.from(KNOWN.join(''), 'latin1');
const spelledAt = new Uint16Array(ID_COUNT + 1);
const strings: string[] = [''];
const byString = new Map<string, number>();

for (let id = 1; id < ID_COUNT; id++) {
  const name = KNOWN[id - 1]!;
  spelledAt[id + 1] = spelledAt[id]! + name.length;
  strings.push(name);
  byString.set(name, id);
  let slot = hashOf(spelled, spelledAt[id]!, spelledAt[id + 1]!) & (SLOTS - 1);
  while (byHash[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
  byHash[slot] = id;
}

/** The id of the name at `bytes[start..end)`, which is not empty; 0 when it is none of ours. */
export function lookUp(bytes: Uint8Array, start: number, end: number): number {
  let slot = hashOf(bytes, start, end) & (SLOTS - 1);
  let id = byHash[slot]!;
  while (id !== 0) {
    const from = spelledAt[id]!;
    if (spelledAt[id + 1]! - from === end - start) {
      let i = start;
      while (i < end && TOKEN[bytes[i]!] === spelled[from + i - start]) i++;
      if (i === end) return id;
    }
    slot = (slot + 1) & (SLOTS - 1);
    id = byHash[slot]!;
  }
  return 0;
}

/** Lower case, for every byte that a known name has. */
const LOWER = 0x20202020;

/** The same names by their first and last four bytes, which tell all of them apart that have as many. */
const WORD_SLOTS = 1024;
const byWords = new Uint8Array(WORD_SLOTS);
const spelledWords = new DataView(spelled.buffer, spelled.byteOffset, spelled.length);

function slotOf(first: number, last: number, length: number): number {
  const mixed = Math.imul(first ^ Math.imul(last, 0x2545f491) ^ length, 0x9e3779b1 | 0);
  return mixed >>> 22;
}

for (let id = 1; id < ID_COUNT; id++) {
  const from = spelledAt[id]!;
  const to = spelledAt[id + 1]!;
  if (to - from < 4) continue;
  let slot = slotOf(spelledWords.getInt32(from, true), spelledWords.getInt32(to - 4, true), to - from);
  while (byWords[slot] !== 0) slot = (slot + 1) & (WORD_SLOTS - 1);
  byWords[slot] = id;
}

/**
 * As lookUp(), for a name of which every byte is a tchar: four bytes per step. With that one bit set, capitals become small, and no other tchar becomes
 * a byte of a known name.
 */
export function lookUpToken(words: DataView, bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < 4) return lookUp(bytes, start, end);
  const first = words.getInt32(start, true) | LOWER;
  const last = words.getInt32(end - 4, true) | LOWER;
  let slot = slotOf(first, last, length);
  for (;;) {
    const id = byWords[slot]!;
    if (id === 0) return 0;
    const from = spelledAt[id]!;
    const to = spelledAt[id + 1]!;
    if (to - from === length && spelledWords.getInt32(from, true) === first && spelledWords.getInt32(to - 4, true) === last) {
      let i = 4;
      while (i < length - 4 && (words.getInt32(start + i, true) | LOWER) === spelledWords.getInt32(from + i, true)) i += 4;
      if (i >= length - 4) return id;
    }
    slot = (slot + 1) & (WORD_SLOTS - 1);
  }
}

/** The id of a name in lower case; 0 when it is none of ours. */
export function idOfName(lower: string): number {
  return byString.get(lower) ?? 0;
}

/** The lower-case name of an id from 1. */
export function nameOfId(id: number): string {
  return strings[id]!;
}
