import { scalar, textLike, toggle } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { definePlugin } from '../proxy/plugin.ts';

const status = scalar<301 | 302 | 307 | 308>(
  'STATUS',
  '301, 302, 307 or 308',
  (given) => {
    const n = Number(given);
    if (n === 301 || n === 302 || n === 307 || n === 308) return n;
    throw new Wrong('is no status of a redirect', 'choose 301, 302, 307 or 308');
  },
  { types: ['number'], choices: ['301', '302', '307', '308'] },
);

/** Sends clients elsewhere: to https, or below a prefix. */
export const redirectPlugin = definePlugin({
  name: 'redirect',
  summary: 'sends clients to https, below a prefix, or both',
  steps: ['request'],
  settings: {
    httpToHttps: setting({
      kind: toggle(),
      group: 'Where to',
      help: 'https in the place of http; requests that came by https pass',
      fallback: false,
    }),
    prefix: setting<string | null>({
      kind: textLike(/^\/[\x21-\x7e]*[^/]$/, 'PATH', 'path without a / at its end', 'write it as /v2'),
      group: 'Where to',
      help: 'put in front of paths that do not begin with it',
      fallback: null,
      fallbackText: 'none',
    }),
    status: setting<301 | 302 | 307 | 308>({
      kind: status,
      group: 'Answer',
      help: '307 and 308 keep the method, 301 and 308 may be remembered',
      fallback: 307,
    }),
    port: setting<number | null>({
      kind: scalar(
        'PORT',
        'port',
        (given) => {
          const n = Number(given);
          if (!Number.isInteger(n) || n < 1 || n > 65_535) throw new Wrong('is no port', 'give one from 1 to 65535');
          return n;
        },
        { types: ['number'] },
      ),
      group: 'Where to',
      help: 'port of https, when it is not 443',
      fallback: null,
      fallbackText: '443',
    }),
  },
  create({ httpToHttps, prefix, status: code, port }) {
    if (!httpToHttps && prefix === null) throw new Wrong('redirects nowhere', 'write http_to_https = true, or a prefix');
    return {
      request({ request }) {
        const { target, path } = request;
        const toHttps = httpToHttps && request.scheme === 'http';
        const below = prefix !== null && path !== prefix && !path.startsWith(`${prefix}/`);
        if (!toHttps && !below) return undefined;
        // Without a Host there is nowhere to send them, and a target that begins with // would be taken for a host.
        if (request.host === '') return { status: 400, body: 'Host is missing\n' };
        const host = toHttps ? request.host.replace(/:\d+$/, '') : request.host;
        const authority = toHttps && port !== null ? `${host}:${port}` : host;
        const location = `${toHttps ? 'https' : request.scheme}://${authority}${below ? prefix : ''}${target}`;
        return { status: code, headers: ['Location', location] };
      },
    };
  },
});
