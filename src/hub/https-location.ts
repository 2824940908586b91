import { type RequestHead, ResponseHead } from '../http/head.ts';
import { X_FORWARDED_PROTO } from '../http/names.ts';
import { type Location, plainLocation } from '../proxy/location.ts';
import { Inside } from './inside.ts';

/** Sends everybody to the same place by https (`redirect_https`), for good: the method stays. */
export function httpsLocation(port: number): Location {
  const upstream = new Inside((head, reply) => {
    const answer = answerTo(head, port);
    let live = true;
    setImmediate(() => {
      if (live) {
        reply.head(answer);
        reply.end();
      }
      reply.settled();
    });
    return {
      writer: null,
      write: () => true,
      end() {},
      abort() {
        live = false;
      },
      settled() {},
    };
  });
  return plainLocation({ name: 'redirect_https', upstream });
}

/** Does it come without TLS, as far as we know? A trusted proxy may have taken it off. */
export function isWithoutTls(head: RequestHead): boolean {
  const { peer } = head;
  if (peer.scheme === 'https') return false;
  return !(peer.trusted && head.has(X_FORWARDED_PROTO) && /^\s*https\s*(?:,|$)/i.test(head.get('x-forwarded-proto')!));
}

function answerTo({ authority, target }: RequestHead, port: number): ResponseHead {
  // HTTP/1.0 may name no host, and then there is nowhere to send it.
  if (authority === '') return ResponseHead.make(400, [], 0);
  const host = authority.replace(/:\d*$/, '');
  return ResponseHead.make(308, ['Location', `https://${host}${port === 443 ? '' : `:${port}`}${target === '*' ? '/' : target}`], 0);
}
