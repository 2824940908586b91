import { textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { definePlugin, type Reply } from '../proxy/plugin.ts';

/** Says that somebody is here. */
export const pingPlugin = definePlugin({
  name: 'ping',
  summary: 'answers pong at a path: for who wants to know whether the gateway is there',
  steps: ['request'],
  settings: {
    path: setting({
      kind: textLike(/^\/[\x21-\x7e]*$/, 'PATH', 'path', 'begin it with /'),
      group: 'Request',
      help: 'where it answers',
      fallback: '/ping',
    }),
  },
  create({ path }) {
    const pong: Reply = { status: 200, headers: ['Content-Type', 'text/plain', 'Cache-Control', 'no-store'], body: 'pong' };
    return { request: ({ request }) => (request.path === path ? pong : undefined) };
  },
});
