// HOT: request() runs per request, and makes one label.
import { choice, duration, integer, text, toggle } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { definePlugin, type Plugin, type PluginExchange, type QueueLabel } from '../../proxy/plugin.ts';
import { ownCopy, shortKey } from '../limit/key-table.ts';
import { keyOf, type KeyOf, TAGS, type Tag } from '../limit/key.ts';
import { urgencyOf } from './urgency.ts';
import { wantsPosition, WaitTellers } from './wait-tellers.ts';

const CLIENTS = 'Whose request it is';
const ORDER = 'Order';
const DAY_MS = 86_400_000;

/** Says how requests wait for a slot of an agent: it labels them, and the queue does the rest. */
export const queuePlugin = definePlugin({
  name: 'queue',
  summary: 'says how requests wait for a slot of an agent: their class, whose share they take, and how many of one client may wait',
  settings: {
    tag: setting<Tag | 'capture' | 'none'>({
      kind: choice([...TAGS, 'capture', 'none']),
      group: CLIENTS,
      help: 'what tells clients apart: ip (of IPv6 the first 64 bits), or header, cookie, query, claim of a jwt or capture named by key, or path, or client_key; none: left as it is',
      fallback: 'ip',
    }),
    key: setting<string | null>({
      kind: text('NAME', 'name'),
      group: CLIENTS,
      help: 'name of the header, cookie, parameter, claim or capture; requests without it share as one client',
      fallback: null,
      fallbackText: 'none',
    }),
    weight: setting({
      kind: integer(1, 1_000),
      group: CLIENTS,
      help: 'how many slots each client gets for one of a client with weight 1',
      fallback: 1,
    }),
    maxWaiting: setting<number | null>({
      kind: integer(0, 1_000_000),
      group: CLIENTS,
      help: 'requests of one client that may wait at once; one more is answered 429',
      fallback: null,
      fallbackText: 'as many as the upstream lets wait',
    }),
    class: setting<number | null>({
      kind: integer(0, 7),
      group: ORDER,
      help: 'lower is served first; requests without this plugin are of class 3',
      fallback: null,
      fallbackText: 'as a plugin before it has said, else 3',
    }),
    priority: setting({
      kind: toggle(),
      group: ORDER,
      help: 'clients may ask for a later class by Priority: u=0 to 7 (RFC 9218)',
      fallback: true,
    }),
    trust: setting({ kind: toggle(), group: ORDER, help: 'clients may ask for an earlier class as well', fallback: false }),
    age: setting({
      kind: duration(DAY_MS),
      group: ORDER,
      help: 'who has waited so long goes up by one class, and again after as long; 0 = never',
      fallback: 10_000,
    }),
    tellWait: setting({
      kind: toggle(),
      group: 'Answer',
      help: 'answers say how long their request has waited for slots (Queue-Wait); who asks for it hears meanwhile where it stands',
      fallback: false,
    }),
  },
  create({ tag, key, weight, maxWaiting, class: rank, priority, trust, age, tellWait }, { name }) {
    if (trust && !priority) throw new Wrong('has trust = true and priority = false', 'leave one of the two out');
    const find = finder(tag, key);
    const most = maxWaiting ?? Number.POSITIVE_INFINITY;
    /** What is said whoever the client is; the rest stays as it is. */
    const others: QueueLabel = { ageMs: age, ...(rank === null ? {} : { rank }), ...(maxWaiting === null ? {} : { most }) };
    const request = (exchange: PluginExchange): void => {
      // Names keep the clients of several plugins apart. Who cannot be told from others shares with them.
      const now = exchange.label(
        find === null ? others : { ...others, key: ownCopy(`${name} ${shortKey(find(exchange))}`), shown: false, weight, most },
      );
      const field = priority ? exchange.request.header('priority') : undefined;
      const urgency = field === undefined ? null : urgencyOf(field);
      if (urgency !== null && (trust || urgency > now.rank)) exchange.label({ rank: urgency });
    };
    if (!tellWait) return { request } satisfies Plugin;
    const tellers = new WaitTellers();
    return {
      request(exchange) {
        request(exchange);
        if (wantsPosition(exchange.request.header('prefer'))) tellers.add(exchange);
      },
      response(exchange) {
        tellers.remove(exchange);
        exchange.response!.setHeader('Queue-Wait', String(Math.round(exchange.notes.waitedMs)));
      },
      log: (exchange) => tellers.remove(exchange),
      close: () => tellers.close(),
    };
  },
});

/** Null: whose it is has been said before, or nobody asks. */
function finder(tag: Tag | 'capture' | 'none', key: string | null): KeyOf | null {
  if (tag === 'none') return null;
  if (tag !== 'capture') return keyOf(tag, key);
  if (key === null) throw new Wrong('has tag = "capture" and no key', 'name what host or path captures, as in key = "tenant"');
  return (exchange) => exchange.capture(key);
}
