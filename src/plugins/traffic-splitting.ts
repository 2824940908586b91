// HOT: request() runs per request.
import { Buffer } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { integer, scalar, text, textLike, toggle } from '../schema/kind.ts';
import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { definePlugin, type PluginExchange } from '../proxy/plugin.ts';

const token = textLike(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, 'NAME', 'name', 'write it as user_id');

/** Sends a share of the requests, or those of some clients, to another upstream. */
export const trafficSplittingPlugin = definePlugin({
  name: 'traffic_splitting',
  summary: 'sends a share of the requests, or those of some clients, to another upstream',
  steps: ['request'],
  settings: {
    upstream: setting<string>({
      kind: text('NAME', 'name of an upstream'),
      group: 'Where to',
      help: 'the upstream that gets the share; the others go where their location sends them',
      hint: 'write upstream = "canary"',
      refersTo: 'upstreams',
    }),
    weight: setting<number | null>({
      kind: integer(0, 100),
      group: 'Which',
      help: 'how many of a hundred requests, or of a hundred values of cookie or header',
      fallback: null,
      fallbackText: '0, with matcher all',
    }),
    stickiness: setting({
      kind: toggle(),
      group: 'Which',
      help: 'the same value of cookie or header goes the same way every time; requests without it are never sent away',
      fallback: false,
    }),
    stickyCookie: setting<string | null>({
      kind: token,
      group: 'Which',
      help: 'cookie whose value decides; counts before sticky_header',
      fallback: null,
      fallbackText: 'none',
    }),
    stickyHeader: setting<string | null>({ kind: token, group: 'Which', help: 'header whose value decides', fallback: null, fallbackText: 'none' }),
    matcher: setting<Pattern | null>({
      kind: scalar('PATTERN', 'regular expression', compilePattern, { format: (one) => one?.source ?? '' }),
      group: 'Which',
      help: 'with stickiness: only values in which it is found, and the weight decides among those when there is one',
      fallback: null,
      fallbackText: 'none',
    }),
  },
  create({ upstream, weight, stickiness, stickyCookie, stickyHeader, matcher }) {
    const isNamed = stickyCookie !== null || stickyHeader !== null;
    if (stickiness && !isNamed) throw new Wrong('has stickiness and nothing to go by', 'write sticky_cookie = "NAME" or sticky_header = "NAME"');
    if (!stickiness && matcher !== null) throw new Wrong('has a matcher and nothing to match', 'write stickiness = true and sticky_cookie = "NAME"');
    if (!stickiness && isNamed) throw new Wrong('names a cookie or header that is not used', 'write stickiness = true');
    if (weight === null && matcher === null) throw new Wrong('has no weight: nothing would be sent there', 'write weight = 10');
    const share = weight ?? 100;
    if (!stickiness) return { request: (exchange) => void (Math.random() * 100 < share && send(exchange, upstream)) };
    return {
      request(exchange) {
        const { request } = exchange;
        const value = stickyCookie !== null ? request.cookie(stickyCookie) : request.header(stickyHeader!);
        if (value === undefined || value === '') return;
        if (matcher !== null && !matcher.test(value)) return;
        if (share === 100 || placeOf(value) < share) send(exchange, upstream);
      },
    };
  },
});

/** @throws when it has gone, which the configuration does not allow: nobody gets what was meant for others */
function send(exchange: PluginExchange, upstream: string): void {
  if (!exchange.useUpstream(upstream)) throw new Error(`there is no upstream ${upstream}`);
}

/** 0 to 99, the same for the same value: as Pingap computes it, so that clients stay where they are. */
export function placeOf(value: string): number {
  return crc32(Buffer.from(value, 'latin1')) % 100;
}
