// HOT: response() runs per answer.
import { hostname } from 'node:os';
import { list, scalar } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { fieldLine } from '../http/head.ts';
import { hostOf } from '../proxy/host-pattern.ts';
import { definePlugin, type PluginExchange } from '../proxy/plugin.ts';

interface FieldValue {
  readonly name: string;
  readonly parts: readonly (string | ((exchange: PluginExchange) => string))[];
}

/** Fields by which a message is framed or a connection kept: not to be written by hand. */
const FRAMING: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'te',
  'trailer',
  'proxy-connection',
]);

const name = scalar('NAME', 'name of a header', (given) => nameOf(given));
const field = scalar(
  'NAME: VALUE',
  'header such as X-Frame-Options: DENY; $host (without port), $client_ip, $scheme, $request_id and $http_NAME stand for what was asked',
  (given): FieldValue => {
    const colon = given.indexOf(':');
    if (colon < 0) throw new Wrong('has no colon', 'write name: value');
    const value = given.slice(colon + 1).trim();
    const found = { name: nameOf(given.slice(0, colon)), parts: partsOf(value) };
    fieldLine(found.name, value.replaceAll('$', ''));
    return found;
  },
);
const renaming = scalar('OLD: NEW', 'old and new name of a header', (given) => {
  const [from, to, ...more] = given.split(':');
  if (to === undefined || more.length > 0) throw new Wrong('is no pair of names', 'write old: new');
  return { from: nameOf(from!), to: nameOf(to) };
});

/** Adds, removes, sets and renames fields of answers. */
export const responseHeadersPlugin = definePlugin({
  name: 'response_headers',
  summary: 'adds, removes, sets and renames headers of answers, in this order',
  steps: ['response', 'upstream_response'],
  settings: {
    addHeaders: setting<readonly FieldValue[]>({
      kind: list(field, /\n/, 'several in a list'),
      group: 'Headers',
      help: 'added to those of the same name',
      fallback: [],
    }),
    removeHeaders: setting<readonly string[]>({ kind: list(name), group: 'Headers', help: 'taken out', fallback: [] }),
    setHeaders: setting<readonly FieldValue[]>({
      kind: list(field, /\n/, 'several in a list'),
      group: 'Headers',
      help: 'in the place of those of the same name',
      fallback: [],
    }),
    setHeadersNotExists: setting<readonly FieldValue[]>({
      kind: list(field, /\n/, 'several in a list'),
      group: 'Headers',
      help: 'set where there is none',
      fallback: [],
    }),
    renameHeaders: setting<readonly { from: string; to: string }[]>({
      kind: list(renaming),
      group: 'Headers',
      help: 'carried on under another name',
      fallback: [],
    }),
    mode: setting<string | null>({
      kind: scalar('MODE', 'upstream, or nothing', (given) => given, { choices: ['upstream'] }),
      group: 'Headers',
      help: "Pingap's word for before the cache; here the place in the location's list says so",
      fallback: null,
      fallbackText: 'none',
    }),
  },
  create({ addHeaders, removeHeaders, setHeaders, setHeadersNotExists, renameHeaders }) {
    return {
      response(exchange) {
        const response = exchange.response!;
        for (const one of addHeaders) response.addHeader(one.name, render(one, exchange));
        for (const one of removeHeaders) response.removeHeader(one);
        for (const one of setHeaders) response.setHeader(one.name, render(one, exchange));
        for (const one of setHeadersNotExists) if (response.header(one.name) === undefined) response.setHeader(one.name, render(one, exchange));
        for (const { from, to } of renameHeaders) {
          const value = response.header(from);
          if (value === undefined) continue;
          response.removeHeader(from);
          response.addHeader(to, value);
        }
      },
    };
  },
});

function nameOf(given: string): string {
  const trimmed = given.trim();
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(trimmed)) throw new Wrong('is no name of a header', 'write it as X-Name', trimmed);
  if (FRAMING.has(trimmed.toLowerCase())) throw new Wrong('frames the message and is not to be written by hand', 'leave it out', trimmed);
  return trimmed;
}

function partsOf(value: string): FieldValue['parts'] {
  const parts: (string | ((exchange: PluginExchange) => string))[] = [];
  let from = 0;
  for (const match of value.matchAll(/\$\{?(\w+)\}?/g)) {
    const read = variableOf(match[1]!);
    if (read === null) continue;
    parts.push(value.slice(from, match.index), read);
    from = match.index + match[0].length;
  }
  parts.push(value.slice(from));
  return parts.filter((part) => part !== '');
}

function variableOf(variable: string): ((exchange: PluginExchange) => string) | null {
  switch (variable) {
    case 'host':
      return ({ request }) => hostOf(request.host);
    case 'http_host':
      return ({ request }) => request.host;
    case 'hostname': {
      const name = hostname();
      return () => name;
    }
    case 'scheme':
      return ({ request }) => request.scheme;
    case 'client_ip':
    case 'remote_addr':
      return ({ client }) => client;
    case 'request_id':
      return ({ request }) => request.header('x-request-id') ?? '';
    case 'upstream_addr':
      return ({ notes }) => notes.endpoint;
    case 'location':
      return ({ location }) => location;
  }
  if (!variable.startsWith('http_')) return null;
  const header = variable.slice(5).replaceAll('_', '-');
  return ({ request }) => request.header(header) ?? '';
}

function render({ parts }: FieldValue, exchange: PluginExchange): string {
  let value = '';
  for (const part of parts) value += typeof part === 'string' ? part : part(exchange);
  return value;
}
