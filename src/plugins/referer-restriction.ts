import { domainToASCII } from 'node:url';
import { choice, list, scalar, text } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { definePlugin } from '../proxy/plugin.ts';
import { denial } from './denial.ts';

/** A host of a Referer: itself (`example.com`), what is below it (`*.example.com`), or both (`*example.com`). */
interface Site {
  readonly host: string;
  readonly itself: boolean;
  readonly below: boolean;
}

const site = scalar('HOST', 'host such as example.com, *.example.com for those below it, or *example.com for both', (given): Site => {
  const star = given.startsWith('*');
  const dot = given.startsWith('*.');
  const host = domainToASCII(given.slice(dot ? 2 : star ? 1 : 0)).toLowerCase();
  if (!/^(?:[a-z\d_-]+(?:\.[a-z\d_-]+)*|\[[\da-f:.]+\])$/.test(host))
    throw new Wrong('is no host', 'write a host alone, without scheme, port and path');
  return { host, itself: !dot, below: star };
});

/** Lets requests in, or keeps them out, by the site that they come from. */
export const refererRestrictionPlugin = definePlugin({
  name: 'referer_restriction',
  summary: 'lets requests in, or keeps them out, by the site that they come from (Referer)',
  steps: ['request'],
  settings: {
    refererList: setting<readonly Site[]>({
      kind: list(site),
      group: 'Sites',
      help: 'sites that are meant',
      hint: 'write referer_list = ["example.com"]',
    }),
    type: setting<'allow' | 'deny'>({
      kind: choice(['allow', 'deny']),
      group: 'Sites',
      help: 'allow: only they may pass; deny: all others may, also those who do not say where they come from',
      fallback: 'allow',
    }),
    message: setting({ kind: text(), group: 'Answer', help: 'what the others are told', fallback: 'Request is forbidden' }),
  },
  create({ refererList, type, message }) {
    const hosts = new Set(refererList.flatMap(({ host, itself }) => (itself ? [host] : [])));
    const suffixes = refererList.flatMap(({ host, below }) => (below ? [`.${host}`] : []));
    const allows = type === 'allow';
    const refusal = denial(403, message);
    const isListed = (referer: string): boolean => {
      const host = hostOf(referer);
      return hosts.has(host) || suffixes.some((suffix) => host.length > suffix.length && host.endsWith(suffix));
    };
    return {
      request({ request }) {
        const referer = request.header('referer');
        return (referer !== undefined && isListed(referer)) === allows ? undefined : refusal;
      },
    };
  },
});

/** As browsers read it; '' when it is no address of the web. */
function hostOf(referer: string): string {
  if (!URL.canParse(referer)) return '';
  const { protocol, hostname } = new URL(referer);
  // A dot at the end names the same host.
  return protocol === 'http:' || protocol === 'https:' ? hostname.replace(/\.$/, '') : '';
}
