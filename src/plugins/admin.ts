import { isHostName } from '../schema/host.ts';
import { duration, integer, list, scalar, text, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { definePlugin } from '../proxy/plugin.ts';

const hostName = scalar('NAME', 'host name', (given) => {
  if (!isHostName(given)) throw new Wrong('is no host name', 'write it without a port, such as ops.example.com');
  return given.toLowerCase();
});

/** Puts the console at a location. The gateway sees to that: a location with this plugin has the console in place of an upstream; what stands before it in the list is asked first. */
export const adminPlugin = definePlugin({
  name: 'admin',
  summary: 'answers with the console and its API, in place of an upstream',
  steps: ['request'],
  settings: {
    path: setting<string | null>({
      kind: textLike(/^\/[\x21-\x7e]*$/, 'PATH', 'path', 'begin it with /'),
      group: 'Place',
      help: 'under which path it stands, as browsers ask for it',
      fallback: null,
      fallbackText: "the location's path, or /",
    }),
    hosts: setting<readonly string[]>({
      kind: list(hostName),
      group: 'Place',
      help: 'host names under which it may be asked through a loopback address, where the location names no host',
      fallback: [],
      fallbackText: 'console_hosts of [basic]',
    }),
    authorizations: setting<readonly string[]>({
      kind: list(text('BASE64', 'user:password in base64')),
      group: "Of Pingap's",
      help: 'refused: whoever sees the file could read them; who may log in stands in [admins.NAME]',
      fallback: [],
      fallbackText: 'none',
      secret: 'lines',
    }),
    maxAge: setting({ kind: duration(), group: "Of Pingap's", help: 'without effect: a session ends 30 minutes after its last use', fallback: 0 }),
    ipFailLimit: setting({
      kind: integer(0, 1_000_000),
      group: "Of Pingap's",
      help: 'without effect: after five wrong passwords whoever guesses waits',
      fallback: 0,
    }),
  },
  create({ authorizations }) {
    if (authorizations.length > 0)
      throw new Wrong(
        'has authorizations, which whoever sees the file can read',
        'write [admins.NAME] with role, and password from windlass hash-password',
      );
    return {};
  },
});

/** What the plugin's settings are. */
export interface AdminPlace {
  readonly path: string | null;
  readonly hosts: readonly string[];
}
