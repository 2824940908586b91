import { duration, integer, list, scalar, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { fieldLine } from '../http/head.ts';
import { definePlugin, type Reply } from '../proxy/plugin.ts';

const field = scalar('NAME: VALUE', 'header such as Content-Type: application/json', (given): readonly [string, string] => {
  const colon = given.indexOf(':');
  if (colon < 0) throw new Wrong('has no colon', 'write name: value');
  const pair = [given.slice(0, colon).trim(), given.slice(colon + 1).trim()] as const;
  try {
    fieldLine(...pair);
  } catch (error) {
    throw new Wrong(`is no header: ${(error as Error).message}`, 'write name: value');
  }
  if (/^(?:content-length|transfer-encoding|connection)$/i.test(pair[0])) throw new Wrong('is written by us', 'leave it out');
  return pair;
});

/** Answers in place of an upstream. */
export const mockPlugin = definePlugin({
  name: 'mock',
  summary: 'answers in place of an upstream',
  steps: ['request', 'proxy_upstream'],
  settings: {
    path: setting<string | null>({
      kind: textLike(/^\/[\x21-\x7e]*$/, 'PATH', 'path', 'begin it with /'),
      group: 'Request',
      help: 'only requests for exactly this path',
      fallback: null,
      fallbackText: 'all',
    }),
    status: setting({ kind: integer(200, 599), group: 'Answer', help: 'status', fallback: 200 }),
    headers: setting<readonly (readonly [string, string])[]>({
      kind: list(field, /\n/, 'several in a list'),
      group: 'Answer',
      help: 'headers',
      fallback: [],
    }),
    data: setting({ kind: scalar('TEXT', 'text', (given) => given), group: 'Answer', help: 'body', fallback: '' }),
    delay: setting({ kind: duration(30_000), group: 'Answer', help: 'wait so long before it answers', fallback: 0 }),
  },
  create({ path, status, headers, data, delay }, { step }) {
    const reply: Reply = { status, headers: headers.flat(), body: status === 204 || status === 304 ? null : data };
    const answer = (asked: string): Reply | Promise<Reply> | undefined => {
      if (path !== null && asked !== path) return undefined;
      return delay === 0 ? reply : new Promise((resolve) => setTimeout(resolve, delay, reply));
    };
    return step === 'proxy_upstream' ? { upstream: ({ request }) => answer(request.path) } : { request: ({ request }) => answer(request.path) };
  },
});
