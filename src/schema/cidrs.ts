import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Wrong } from './wrong.ts';

/** A set of address blocks. IPv4 inside IPv6 (`::ffff:10.0.0.1`) is the IPv4 address: that is how a dual-stack socket reports it. */
export class Cidrs {
  readonly #blocks: readonly Block[];

  constructor(blocks: readonly Block[] = []) {
    this.#blocks = blocks;
  }

  get empty(): boolean {
    return this.#blocks.length === 0;
  }

  /** Is the address in one of the blocks? Something that is no address is in none. */
  has(address: string | undefined): boolean {
    if (this.#blocks.length === 0 || address === undefined) return false;
    const bytes = bytesOf(address);
    return bytes !== null && this.#blocks.some((block) => within(block, bytes));
  }
}

/** The first `bits` bits of an address of 4 or 16 bytes. */
export interface Block {
  readonly bytes: readonly number[];
  readonly bits: number;
}

/** `10.0.0.0/8`, `fd00::/8`, a bare address, or `loopback` and `private` for the usual blocks. */
export function parseCidr(text: string): Block[] {
  const named = NAMED.get(text.toLowerCase());
  if (named !== undefined) return named.flatMap((block) => parseCidr(block));
  const slash = text.indexOf('/');
  const bytes = bytesOf(slash < 0 ? text : text.slice(0, slash));
  if (bytes === null) throw new Wrong('is no address block', 'write it as 10.0.0.0/8, fd00::/8, a single address, loopback or private');
  const max = bytes.length * 8;
  if (slash < 0) return [{ bytes, bits: max }];
  const length = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(length) || Number(length) > max) throw new Wrong('has a bad prefix length', `give a number from 0 to ${max} after the slash`);
  const bits = Number(length);
  const block = { bytes: masked(bytes, bits), bits };
  // Host bits set usually mean a typing slip; a block larger or smaller than was meant would decide whom to believe.
  if (block.bytes.some((byte, i) => byte !== bytes[i])) {
    throw new Wrong('has bits set after its prefix', `write ${ipaddr.fromByteArray([...block.bytes]).toString()}/${bits}, or the address alone`);
  }
  return [block];
}

const NAMED: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
]);

/** The address as everybody writes it (IPv6 short and in lower case, IPv4 in IPv6 as IPv4), so that texts can be compared; null when it is none. */
export function canonicalAddress(text: string): string | null {
  const kind = isIP(text);
  if (kind === 4) return text;
  // A zone means something on one machine only.
  return kind === 0 || text.includes('%') ? null : ipaddr.process(text).toString();
}

function bytesOf(text: string): readonly number[] | null {
  const bare = text.includes('%') ? text.slice(0, text.indexOf('%')) : text;
  // ipaddr.js also reads 0x7f.1 and 127.1; only the four-part decimal form is meant by anybody here.
  if (!ipaddr.IPv6.isValid(bare) && !ipaddr.IPv4.isValidFourPartDecimal(bare)) return null;
  return ipaddr.process(bare).toByteArray();
}

function masked(bytes: readonly number[], bits: number): number[] {
  return bytes.map((byte, i) => byte & maskOf(bits - i * 8));
}

function maskOf(bits: number): number {
  return bits >= 8 ? 0xff : bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
}

function within(block: Block, bytes: readonly number[]): boolean {
  if (block.bytes.length !== bytes.length) return false;
  for (let i = 0, left = block.bits; left > 0; i++, left -= 8) {
    if (((block.bytes[i]! ^ bytes[i]!) & maskOf(left)) !== 0) return false;
  }
  return true;
}
