// HOT: request() runs per request.
import { timingSafeEqual } from 'node:crypto';
import type { Counter, Family } from '../../observe/metrics.ts';
import { path, textLike } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { FileRecords } from '../../store/file-records.ts';
import { definePlugin, type QueueLabel, type Reply, slot } from '../../proxy/plugin.ts';
import { denial } from '../denial.ts';
import { clientKey } from '../limit/key.ts';
import { type Rate, SlidingWindow } from '../limit/rate.ts';
import { type ClientKey, clientKeyForm, digestOf, idOfKey } from './client-key.ts';

/** Keys in metrics; more are counted together. */
const COUNTED = 1_000;

/** Lets in who has a key that was issued with `windlass keys add`, within the limits of that key. */
export const clientKeysPlugin = definePlugin({
  name: 'client_keys',
  summary: 'lets in who has a key of windlass keys add, within its limits, and with its share of the queue; keys come and go while it runs',
  settings: {
    store: setting<string>({
      kind: path('file of windlass keys'),
      group: 'Keys',
      help: 'the file that windlass keys add --store FILE writes; changes count within a second or so',
      hint: 'write store = "/etc/windlass/client-keys.json"',
    }),
    header: setting({
      kind: textLike(/^[A-Za-z][\w-]{0,63}$/, 'NAME', 'name of a header', 'write it as X-Api-Key'),
      group: 'Keys',
      help: 'header that has the key; in Authorization it stands behind Bearer. The upstream does not see it',
      fallback: 'Authorization',
    }),
  },
  async create({ store, header }, { name, log, clock, metrics }) {
    const file = new FileRecords(store, clientKeyForm);
    const keys = new KeyRing(name);
    try {
      keys.become(await file.all());
    } catch (error) {
      throw new Wrong(`has a store that cannot be used: ${(error as Error).message}`, 'windlass keys add --store FILE makes one');
    }
    const end = file.follow(
      (records) => {
        keys.become(records);
        log.info({ keys: records.size }, 'client keys were read anew');
      },
      (error) => log.error({ error: error.message }, 'the client keys cannot be read: those of before stay in force'),
    );
    const requests: Family<Counter> = metrics.counters(
      'windlass_client_key_requests_total',
      'Requests by the id of their client key: accepted, rate, inflight; refused (key none).',
      ['plugin', 'key', 'result'],
      COUNTED,
    );
    const bytes: Family<Counter> = metrics.counters(
      'windlass_client_key_reply_bytes_total',
      'Bytes answered to a client key.',
      ['plugin', 'key'],
      COUNTED,
    );
    const field = header.toLowerCase();
    const read = field === 'authorization' ? bearer : (value: string): string => value;
    const missing = unauthorized(null, 'Key missing');
    const wrong = unauthorized('invalid_token', 'Key not valid');
    const held = slot<Held>(`client_keys ${name}`);
    return {
      request(exchange) {
        // One that stands twice in a location's list asks once: the key is hidden by then.
        if (exchange.get(held) !== undefined) return undefined;
        const { request } = exchange;
        const given = request.header(field);
        if (given === undefined || given === '') return missing;
        const one = keys.find(read(given), clock.wall());
        if (one === null) {
          requests.with(name, 'none', 'refused').value++;
          return wrong;
        }
        exchange.note('client_key', one.id);
        if (one.inflight !== null && one.state.running >= one.inflight) {
          requests.with(name, one.id, 'inflight').value++;
          return tooMany(1000);
        }
        const waitMs = one.state.rate === null ? 0 : one.state.rate.take(clock.now());
        if (waitMs > 0) {
          requests.with(name, one.id, 'rate').value++;
          return tooMany(waitMs);
        }
        request.removeHeader(field);
        one.state.running++;
        requests.with(name, one.id, 'accepted').value++;
        exchange.set(held, one);
        exchange.set(clientKey, one);
        exchange.label(one.label);
        return undefined;
      },
      log(exchange) {
        const one = exchange.get(held);
        if (one === undefined) return;
        // One that stands twice hears of the end twice.
        exchange.set<Held | undefined>(held, undefined);
        one.state.running--;
        bytes.with(name, one.id).value += exchange.notes.replyBytes;
      },
      close: end,
    };
  },
});

/** What is counted of a key: stays when the keys are read anew. */
interface State {
  running: number;
  rate: Rate | null;
}

/** A key in force, or one that was. */
interface Held {
  readonly id: string;
  readonly name: string;
  readonly hash: Buffer;
  readonly expiresMs: number;
  readonly inflight: number | null;
  readonly rate: string;
  readonly label: QueueLabel;
  readonly state: State;
}

class KeyRing {
  readonly #plugin: string;
  #keys: ReadonlyMap<string, Held> = new Map();

  constructor(plugin: string) {
    this.#plugin = plugin;
  }

  /** These are the keys from now on. What is counted of those that stay goes on, unless their rate is another. */
  become(records: ReadonlyMap<string, ClientKey>): void {
    const keys = new Map<string, Held>();
    for (const [id, record] of records) if (record.revokedMs === null) keys.set(id, this.#hold(id, record));
    this.#keys = keys;
  }

  #hold(id: string, { name, hash, expiresMs, inflight, rate, weight, class: rank, waiting }: ClientKey): Held {
    const before = this.#keys.get(id);
    const text = JSON.stringify(rate);
    const state = before?.state ?? { running: 0, rate: null };
    if (before?.rate !== text) state.rate = rate === null ? null : new SlidingWindow(rate.max, rate.intervalMs);
    return {
      id,
      name,
      hash: Buffer.from(hash, 'hex'),
      expiresMs: expiresMs ?? Number.POSITIVE_INFINITY,
      inflight,
      rate: text,
      label: {
        key: `${this.#plugin} ${id}`,
        shown: true,
        weight,
        ...(rank === null ? {} : { rank }),
        ...(waiting === null ? {} : { most: waiting }),
      },
      state,
    };
  }

  /** Null: there is no such key, or not any more. */
  find(key: string, nowMs: number): Held | null {
    const id = idOfKey(key);
    const one = id === null ? undefined : this.#keys.get(id);
    // Whether an id is known is no secret; the rest of the key is, and its digest is compared in constant time.
    if (one === undefined || !timingSafeEqual(digestOf(key), one.hash)) return null;
    return nowMs < one.expiresMs ? one : null;
  }
}

/** The token behind Bearer (RFC 6750 2.1); '' when there is none. */
function bearer(field: string): string {
  return /^bearer +([^\s,]+) *$/i.exec(field)?.[1] ?? '';
}

/** RFC 6750 3.1: without a reason when nothing was given. */
function unauthorized(error: string | null, text: string): Reply {
  return denial(401, text, ['WWW-Authenticate', `Bearer realm="windlass"${error === null ? '' : `, error="${error}"`}`]);
}

function tooMany(waitMs: number): Reply {
  return denial(429, 'Too Many Requests', ['Retry-After', String(Math.max(1, Math.ceil(waitMs / 1000)))]);
}
