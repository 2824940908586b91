import { Buffer } from 'node:buffer';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { canonicalAddress } from '../schema/cidrs.ts';

/** Bytes of a whole header, TLVs included. Version 1 has at most 107; version 2 could say 64 KiB, but what balancers add is a few hundred. */
export const PROXY_HEADER_BYTES: number = 4 * 1024;
/** How long a balancer may take to say its header, ms. It sends it with the first packet. */
export const PROXY_HEADER_TIMEOUT_MS = 5_000;

/** How a server takes connections whose first bytes say who the client is. */
export interface ProxyProtocolIn {
  /** Whose word is believed. Everybody else's connection is closed. */
  trusted(address: string): boolean;
  /** A connection was closed: its peer is not trusted, its header bad or late. */
  failed(reason: string, address: string): void;
  /** ms; PROXY_HEADER_TIMEOUT_MS unless given. */
  readonly timeoutMs?: number;
}

/** Why a connection was closed whose peer is not trusted. */
export const NOT_TRUSTED = 'the peer may not send a PROXY header';

/** One end of a TCP connection. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/**
 * `done`: the header is `bytes` long, and the client is `source`; null when the balancer speaks for itself (a health check) or does not know.
 */
export type ProxyHeader =
  | { readonly state: 'incomplete' }
  | { readonly state: 'bad'; readonly reason: string }
  | { readonly state: 'done'; readonly bytes: number; readonly source: End | null };

/** Reads a header of version 1 or 2 from the beginning of bytes[start..end). What is wrong is said as soon as it can be seen. */
export function parseProxyHeader(bytes: Buffer, start: number, end: number): ProxyHeader {
  if (beginsLike(V2, bytes, start, end)) return end - start < V2.length ? INCOMPLETE : parseV2(bytes, start, end);
  if (beginsLike(V1, bytes, start, end)) return end - start < V1.length ? INCOMPLETE : parseV1(bytes, start, end);
  return bad('the connection does not begin with a PROXY header');
}

const V1: Buffer = Buffer.from('PROXY ', 'latin1');
const V2: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const INCOMPLETE: ProxyHeader = { state: 'incomplete' };
/** Of a version 1 line, its CRLF included: the text of the protocol proves that no line needs more. */
const V1_BYTES = 107;

/** Is there nothing in bytes[start..end) that contradicts the signature? */
function beginsLike(signature: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const n = Math.min(signature.length, end - start);
  return signature.compare(bytes, start, start + n, 0, n) === 0;
}

function bad(reason: string): ProxyHeader {
  return { state: 'bad', reason };
}

function parseV1(bytes: Buffer, start: number, end: number): ProxyHeader {
  const limit = Math.min(end, start + V1_BYTES);
  const lineEnd = bytes.subarray(start, limit).indexOf('\r\n', 0, 'latin1');
  if (lineEnd < 0) return end - start >= V1_BYTES ? bad(`a PROXY line is longer than ${V1_BYTES} bytes`) : INCOMPLETE;
  const line = bytes.latin1Slice(start, start + lineEnd);
  const length = lineEnd + 2;
  // What follows UNKNOWN is to be ignored.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { state: 'done', bytes: length, source: null };
  const [, family, source, destination, sourcePort, destinationPort] = V1_LINE.exec(line) ?? [];
  const kind = family === '4' ? 4 : 6;
  if (family === undefined || isIP(source!) !== kind || isIP(destination!) !== kind) return bad('a PROXY line is not of the right form');
  if (Number(sourcePort) > 65_535 || Number(destinationPort) > 65_535) return bad('a PROXY line has a port out of range');
  return { state: 'done', bytes: length, source: { address: canonicalAddress(source!)!, port: Number(sourcePort) } };
}

const V1_LINE = /^PROXY TCP([46]) ([\da-fA-F.:]+) ([\da-fA-F.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/;

const LOCAL = 0x20;
const PROXY = 0x21;
const UNSPEC = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX = 0x31;
/** Bytes of the addresses of each family. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [UNSPEC, 0],
  [TCP4, 12],
  [TCP6, 36],
  [UNIX, 216],
]);

function parseV2(bytes: Buffer, start: number, end: number): ProxyHeader {
  const at = start + V2.length;
  if (at < end && bytes[at] !== LOCAL && bytes[at] !== PROXY) return bad('a PROXY header has a version or command that is not known');
  if (end - at < 4) return INCOMPLETE;
  const isLocal = bytes[at] === LOCAL;
  const family = bytes[at + 1]!;
  const following = bytes.readUInt16BE(at + 2);
  const length = V2.length + 4 + following;
  if (length > PROXY_HEADER_BYTES) return bad(`a PROXY header is longer than ${PROXY_HEADER_BYTES} bytes`);
  if (!isLocal) {
    const needed = ADDRESS_BYTES.get(family);
    if (needed === undefined) return bad('a PROXY header is about something else than TCP');
    if (following < needed) return bad('a PROXY header is too short for its addresses');
  }
  if (end - start < length) return INCOMPLETE;
  // TLVs behind the addresses are passed over: nothing here asks what they say.
  const from = at + 4;
  if (isLocal || family === UNSPEC || family === UNIX) return { state: 'done', bytes: length, source: null };
  const size = family === TCP4 ? 4 : 16;
  const address = ipaddr.process(ipaddr.fromByteArray([...bytes.subarray(from, from + size)]).toString()).toString();
  return { state: 'done', bytes: length, source: { address, port: bytes.readUInt16BE(from + 2 * size) } };
}

/** The version 1 header that tells who is connected to whom; addresses that are none make it UNKNOWN. */
export function writeProxyV1(source: End, destination: End): Buffer {
  const family = familyOf(source, destination);
  if (family === 0) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1');
  const text = (end: End): string => (family === 6 && isIP(end.address) === 4 ? `::ffff:${end.address}` : end.address);
  return Buffer.from(`PROXY TCP${family} ${text(source)} ${text(destination)} ${source.port} ${destination.port}\r\n`, 'latin1');
}

/** The same in version 2; addresses that are none are left out. */
export function writeProxyV2(source: End, destination: End): Buffer {
  const family = familyOf(source, destination);
  if (family === 0) return Buffer.concat([V2, Buffer.from([PROXY, UNSPEC, 0, 0])]);
  const size = family === 4 ? 4 : 16;
  const header = Buffer.alloc(V2.length + 4 + 2 * size + 4);
  let at = V2.copy(header);
  at = header.writeUInt8(PROXY, at);
  at = header.writeUInt8(family === 4 ? TCP4 : TCP6, at);
  at = header.writeUInt16BE(2 * size + 4, at);
  for (const end of [source, destination]) {
    header.set(bytesOf(end.address, family), at);
    at += size;
  }
  at = header.writeUInt16BE(source.port, at);
  header.writeUInt16BE(destination.port, at);
  return header;
}

/** 4 when both are IPv4, 6 when either is IPv6, 0 when something is no address. */
function familyOf(source: End, destination: End): 0 | 4 | 6 {
  const a = isIP(source.address);
  const b = isIP(destination.address);
  if (a === 0 || b === 0 || source.address.includes('%') || destination.address.includes('%')) return 0;
  return a === 4 && b === 4 ? 4 : 6;
}

function bytesOf(address: string, family: 4 | 6): number[] {
  const parsed = ipaddr.parse(address);
  return (family === 6 && parsed instanceof ipaddr.IPv4 ? parsed.toIPv4MappedAddress() : parsed).toByteArray();
}
