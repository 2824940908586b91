import { httpUrl } from '../../schema/http-url.ts';
import { duration, list, textLike } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { Failure } from '../../http/failure.ts';
import { definePlugin, type PluginExchange, type Reply, type Verdict } from '../../proxy/plugin.ts';
import { trustedField } from '../trusted-fields.ts';
import { type AuthAnswer, AuthClient, AuthTimeout } from './auth-client.ts';
import { TIMEOUT_MAX_MS } from './limits.ts';

/** Asks another service whether a request may pass. */
export const forwardAuthPlugin = definePlugin({
  name: 'forward_auth',
  summary: 'asks another service whether a request may pass',
  steps: ['request'],
  settings: {
    authUrl: setting({
      kind: httpUrl('http://127.0.0.1:9000/verify'),
      group: 'The service',
      help: 'who is asked, with GET; 2xx means yes, anything else is what the client gets',
      hint: 'write auth_url = "http://127.0.0.1:9000/verify"',
    }),
    requestHeaders: setting<readonly string[]>({
      kind: list(textLike(/^[A-Za-z][\w-]{0,63}$/, 'NAME', 'name of a header', 'write it as Cookie')),
      group: 'The service',
      help: 'headers of the request that it sees, beside X-Forwarded-Method, -Proto, -Host, -Uri and -For',
      fallback: [],
      fallbackText: 'all',
    }),
    timeout: setting({ kind: duration(TIMEOUT_MAX_MS), group: 'The service', help: 'how long it may take', fallback: 10_000 }),
    addHeaders: setting<readonly string[]>({
      kind: list(trustedField),
      group: 'Request',
      help: 'headers of its yes that the upstream gets; nobody else can send these headers',
      fallback: [],
      fallbackText: 'none',
    }),
  },
  create({ authUrl, requestHeaders, timeout, addHeaders }, { log }) {
    const client = new AuthClient(authUrl, timeout);
    const wanted = requestHeaders.length === 0 ? null : new Set(['via', ...requestHeaders.map((name) => name.toLowerCase())]);
    const trusted = addHeaders.map((name) => name.toLowerCase());
    let isFailing = false;
    const ask = async (exchange: PluginExchange): Promise<Verdict> => {
      let answer: AuthAnswer;
      try {
        answer = await client.ask(questionOf(exchange, wanted));
        isFailing = false;
      } catch (error) {
        if (error instanceof AuthTimeout) return new Failure('first_byte_timeout', 'the service that knows who may pass took too long');
        // Once until it works again: while it is down every request says so.
        if (!isFailing) log.warn({ reason: (error as Error).message }, 'auth_url cannot be asked');
        isFailing = true;
        return new Failure('connect_failed', 'the service that knows who may pass cannot be asked');
      }
      if (answer.status < 200 || answer.status > 299) return relayed(answer);
      for (const name of trusted) {
        const value = answer.header(name);
        if (value === undefined) continue;
        exchange.request.setHeader(name, value);
        exchange.hadAuthorization = true;
      }
      return undefined;
    };
    return {
      request(exchange) {
        for (const name of trusted) exchange.request.removeHeader(name);
        return ask(exchange);
      },
      close: () => client.close(),
    };
  },
});

/** Fields of a request that are about its way or its body, or that would make a 304 or a part of the service's yes. */
const NOT_ASKED =
  /^(?:host|connection|keep-alive|upgrade|te|trailer|transfer-encoding|content-length|expect|http2-settings|proxy-.*|forwarded|x-forwarded-.*|x-real-ip|if-.*|range)$/;

function questionOf({ request, client }: PluginExchange, wanted: ReadonlySet<string> | null): Record<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of request.headers()) {
    if ((wanted !== null && !wanted.has(name)) || NOT_ASKED.test(name)) continue;
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`);
  }
  headers.set('x-forwarded-method', request.method);
  headers.set('x-forwarded-proto', request.scheme);
  headers.set('x-forwarded-host', request.host);
  headers.set('x-forwarded-uri', request.target);
  headers.set('x-forwarded-for', client);
  return Object.fromEntries(headers);
}

/** Fields of an answer that are about its way, or that are ours to write. */
const NOT_RELAYED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
]);

function relayed(answer: AuthAnswer): Reply | Failure {
  const { status, rawHeaders, body } = answer;
  if (status < 200 || status > 599) return new Failure('bad_response', `the service that knows who may pass answered with status ${status}`);
  const named = new Set((answer.header('connection') ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const headers: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const lower = rawHeaders[i]!.toLowerCase();
    if (!NOT_RELAYED.has(lower) && !named.has(lower)) headers.push(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  return { status, headers, body: status === 304 ? null : body };
}
