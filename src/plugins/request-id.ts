import { randomFillSync } from 'node:crypto';
import { choice, integer, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { definePlugin, slot } from '../proxy/plugin.ts';

/** The id of a request, for other plugins. */
export const requestId = slot<string>('request_id');

/** What may come from outside: an id, not a piece of somebody's log line or query. */
const TAKEN = /^[\w.:/+=-]{1,128}$/;

/** Gives every request an id that upstream, client and log agree on. */
export const requestIdPlugin = definePlugin({
  name: 'request_id',
  summary: 'gives requests an id that upstream, client and log agree on',
  steps: ['request', 'proxy_upstream'],
  settings: {
    algorithm: setting<'uuid' | 'nanoid'>({
      kind: choice(['uuid', 'nanoid']),
      group: 'Id',
      help: 'uuid: version 7, which sorts by time; nanoid: letters, digits, - and _',
      fallback: 'uuid',
    }),
    size: setting({ kind: integer(8, 64), group: 'Id', help: 'characters of a nanoid', fallback: 21 }),
    headerName: setting({
      kind: textLike(/^[A-Za-z][\w-]{0,63}$/, 'NAME', 'name of a header', 'write it as X-Request-Id'),
      group: 'Id',
      help: 'header that carries it; one that is there already is kept',
      fallback: 'X-Request-Id',
    }),
  },
  create({ algorithm, size, headerName }, { clock }) {
    const random = new RandomPool();
    const make = algorithm === 'uuid' ? () => uuidV7(clock.wall(), random) : () => nanoid(size, random);
    return {
      request(exchange) {
        const given = exchange.request.header(headerName);
        const id = given !== undefined && TAKEN.test(given) ? given : make();
        if (given === undefined) exchange.request.addHeader(headerName, id);
        else if (id !== given) exchange.request.setHeader(headerName, id);
        exchange.set(requestId, id);
      },
      response(exchange) {
        const id = exchange.get(requestId);
        if (id !== undefined) exchange.response!.setHeader(headerName, id);
      },
    };
  },
});

/** RFC 9562 5.7: 48 bits of Unix time in ms, then random bits. */
function uuidV7(wallMs: number, random: RandomPool): string {
  const bytes = random.take(16);
  bytes.writeUIntBE(wallMs, 0, 6);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** 64 letters: six bits of each byte make one. */
function nanoid(size: number, random: RandomPool): string {
  const bytes = random.take(size);
  let id = '';
  for (const byte of bytes) id += LETTERS[byte & 63];
  return id;
}

const LETTERS = 'useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict';

/** Random bytes fetched many at a time: one fetch costs more than an id. */
class RandomPool {
  readonly #bytes = Buffer.allocUnsafeSlow(POOL_BYTES);
  #at = POOL_BYTES;

  /** Used once, and the caller's to change until the next call. */
  take(count: number): Buffer {
    if (this.#at + count > POOL_BYTES) {
      randomFillSync(this.#bytes);
      this.#at = 0;
    }
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}

const POOL_BYTES = 4096;
