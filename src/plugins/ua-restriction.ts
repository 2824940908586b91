import { choice, list, scalar, text } from '../schema/kind.ts';
import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { setting } from '../schema/setting.ts';
import { definePlugin } from '../proxy/plugin.ts';
import { denial } from './denial.ts';

const pattern = scalar('PATTERN', 'regular expression in the syntax of RE2, which is looked for anywhere', (given) => compilePattern(given));

/** Lets requests in, or keeps them out, by the program that sends them. */
export const uaRestrictionPlugin = definePlugin({
  name: 'ua_restriction',
  summary: 'lets requests in, or keeps them out, by the program that sends them (User-Agent)',
  steps: ['request'],
  settings: {
    uaList: setting<readonly Pattern[]>({
      kind: list(pattern, /\n/, 'several in a list'),
      group: 'Programs',
      help: 'programs that are meant',
      hint: "write ua_list = ['^curl/']",
    }),
    type: setting<'allow' | 'deny'>({
      kind: choice(['allow', 'deny']),
      group: 'Programs',
      help: 'allow: only they may pass; deny: all others may',
      fallback: 'allow',
    }),
    message: setting({ kind: text(), group: 'Answer', help: 'what the others are told', fallback: 'Request is forbidden' }),
  },
  create({ uaList, type, message }) {
    const allows = type === 'allow';
    const refusal = denial(403, message);
    return {
      request({ request }) {
        const agent = request.header('user-agent') ?? '';
        return uaList.some((one) => one.test(agent)) === allows ? undefined : refusal;
      },
    };
  },
});
