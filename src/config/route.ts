import { list, scalar, text } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';

const REQUEST = 'The request';

/** Settings of `route`. */
export const routeTable = {
  host: setting({
    kind: text('HOST', 'host, with or without port'),
    group: REQUEST,
    help: 'host that is asked',
    fallback: '',
    fallbackText: 'none',
    inFile: false,
  }),
  path: setting({ kind: text('PATH', 'path, with or without query'), group: REQUEST, help: 'path that is asked for', fallback: '/', inFile: false }),
  method: setting({ kind: text('METHOD', 'method'), group: REQUEST, help: 'method', fallback: 'GET', inFile: false }),
  header: setting<readonly string[]>({
    kind: list(
      scalar('NAME: VALUE', "header such as 'X-Beta: 1'", (given) => {
        if (!given.includes(':')) throw new Wrong('has no colon', `write it as '${given}: value'`);
        return given;
      }),
      /\n/,
      'may be repeated',
    ),
    group: REQUEST,
    help: 'header of the request; may be repeated',
    fallback: [],
    fallbackText: 'none',
    inFile: false,
  }),
  server: setting<string | null>({
    kind: text('NAME', 'name of a server'),
    group: REQUEST,
    help: 'server that is asked',
    fallback: null,
    fallbackText: 'all of them',
    inFile: false,
  }),
} as const;
