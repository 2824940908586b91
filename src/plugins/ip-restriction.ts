// HOT: request() is one look-up in a table of address blocks.
import { choice, cidrs, text } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Cidrs } from '../schema/cidrs.ts';
import { definePlugin, type Reply } from '../proxy/plugin.ts';

/** Addresses that are remembered. */
const KNOWN = 4096;

/** Lets in by address. */
export const ipRestrictionPlugin = definePlugin({
  name: 'ip_restriction',
  summary: 'lets in, or keeps out, clients by their address',
  steps: ['request'],
  settings: {
    ipList: setting<Cidrs>({
      kind: cidrs(),
      group: 'Addresses',
      help: 'addresses and blocks such as 10.0.0.0/8 or 2001:db8::/32',
      hint: 'write ip_list = ["10.0.0.0/8"]',
    }),
    type: setting<'allow' | 'deny'>({
      kind: choice(['allow', 'deny']),
      group: 'Addresses',
      help: 'allow: only those in the list get in; deny: only those are kept out',
      fallback: 'allow',
    }),
    message: setting({ kind: text(), group: 'Answer', help: 'what those are told who may not', fallback: 'Forbidden' }),
  },
  create({ ipList, type, message }) {
    if (ipList.empty) throw new Wrong('names no address', 'write ip_list = ["10.0.0.0/8"]');
    const allows = type === 'allow';
    const refusal: Reply = { status: 403, headers: ['Content-Type', 'text/plain; charset=utf-8'], body: `${message}\n` };
    // Clients ask more than once, and taking an address apart costs more than finding it.
    const known = new Map<string, boolean>();
    const passes = (client: string): boolean => {
      let may = known.get(client);
      if (may === undefined) {
        may = client !== '' && ipList.has(client) === allows;
        if (known.size >= KNOWN) known.clear();
        known.set(client, may);
      }
      return may;
    };
    return {
      // An address that cannot be read (a unix socket's) is in no list: with deny that would let it in.
      request: ({ client }) => (passes(client) ? undefined : refusal),
    };
  },
});
