// HOT: request() runs per request.
import { list, textLike, toggle } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { codingWeights } from '../http/accept-encoding.ts';
import { definePlugin } from '../proxy/plugin.ts';

/** Spellings that are remembered: a handful of browsers make nearly all requests. */
const SPELLINGS = 200;
const SPELLING_CHARS = 200;

/** Makes few of the many ways in which clients say which codings they take, so that upstreams and caches see few variants. */
export const acceptEncodingPlugin = definePlugin({
  name: 'accept_encoding',
  summary: 'rewrites Accept-Encoding: only codings of a list, in its order, that the client takes',
  steps: ['early_request', 'request'],
  settings: {
    encodings: setting({
      kind: list(textLike(/^[A-Za-z][\w-]{0,31}$/, 'NAME', 'name of a coding', 'write names such as br and gzip')),
      group: 'Codings',
      help: 'codings that may be asked for, best first',
      hint: 'write encodings = ["br", "gzip"]',
    }),
    onlyOneEncoding: setting({
      kind: toggle(),
      group: 'Codings',
      help: 'ask for the first of them that the client takes, and no other',
      fallback: false,
    }),
  },
  create({ encodings, onlyOneEncoding }) {
    const offered = [...new Set(encodings.map((name) => name.toLowerCase()))];
    const known = new Map<string, string>();
    const rewritten = (accept: string): string => {
      const weights = codingWeights(accept);
      const rest = weights.get('*') ?? 0;
      const taken = offered.filter((name) => (weights.get(name) ?? rest) > 0);
      return (onlyOneEncoding ? taken.slice(0, 1) : taken).join(', ');
    };
    return {
      request({ request }) {
        const accept = request.header('accept-encoding');
        if (accept === undefined) return;
        let wanted = known.get(accept);
        if (wanted === undefined) {
          wanted = rewritten(accept);
          if (known.size < SPELLINGS && accept.length <= SPELLING_CHARS) known.set(accept, wanted);
        }
        if (wanted === '') request.removeHeader('accept-encoding');
        else if (wanted !== accept) request.setHeader('Accept-Encoding', wanted);
      },
    };
  },
});
