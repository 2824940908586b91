import { duration, orOff, path, scalar, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';

const WHOM = 'Whom to ask';

/** Settings of every command that asks a running hub or gateway: `status`, `agents`, `tail` and others. */
export const adminClientTable = {
  adminUrl: setting<string | null>({
    kind: scalar('URL', 'address such as http://127.0.0.1:9080', (given) => {
      if (!/^https?:\/\//i.test(given) || !URL.canParse(given)) throw new Wrong('is no URL', 'write it as http://127.0.0.1:9080');
      const { username, password, search, hash } = new URL(given);
      if (username !== '' || password !== '') throw new Wrong('has a user in it', 'leave it out; --admin-token-file says who asks');
      if (search !== '' || hash !== '') throw new Wrong('has more than a path', 'end it before ? and #');
      return given.replace(/\/+$/, '');
    }),
    group: WHOM,
    help: 'where its operators ask it (admin_addr, or a location with plugin admin)',
    fallback: null,
    fallbackText: 'at WINDLASS_ADMIN_ADDR, or at 127.0.0.1:9080',
    inFile: false,
  }),
  adminToken: setting<string | null>({
    kind: textLike(/^[\x21-\x7e]{8,500}$/, 'TOKEN', 'token of the admin API', 'it looks like wlt_…; the console makes them under Settings'),
    group: WHOM,
    help: 'who asks',
    secret: 'line',
    fallback: null,
    fallbackText: 'the local token that a program of this user left in its state folder',
    inFile: false,
  }),
  stateDir: setting<string | null>({
    kind: orOff(path()),
    group: WHOM,
    help: 'state folder of that program, when it was given another one',
    fallback: null,
    fallbackText: '$XDG_STATE_HOME/windlass or ~/.local/state/windlass',
    inFile: false,
  }),
  caFile: setting<string | null>({
    kind: path('path of a PEM file'),
    group: WHOM,
    help: 'more certificate authorities to believe',
    fallback: null,
    fallbackText: 'the built-in ones',
    inFile: false,
  }),
  timeout: setting({ kind: duration(), group: WHOM, help: 'how long an answer may take', fallback: 10_000, inFile: false }),
} as const;
