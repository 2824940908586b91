import { parseRate, type KeyRate } from '../plugins/client-keys/client-key.ts';
import { formatDuration } from '../schema/duration.ts';
import { duration, integer, path, scalar, textLike } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';

const KEY = 'The key';
const LIMITS = 'Its limits';

const store = setting<string>({
  kind: path('file of client keys'),
  group: 'Store',
  help: 'the file that store of a client_keys plugin names',
  hint: 'such as --store /etc/windlass/client-keys.json',
  inFile: false,
});

const rate = scalar<KeyRate>(
  'N/TIME',
  'rate such as 100/1m',
  (given) => {
    try {
      return parseRate(given);
    } catch (error) {
      throw error instanceof Wrong ? error : new Wrong('is no rate', 'write it as 100/1m: a hundred per minute');
    }
  },
  { format: ({ max, intervalMs }) => `${max}/${formatDuration(intervalMs)}` },
);

/** Settings of `keys add`. */
export const keysAddTable = {
  store,
  name: setting<string>({
    kind: textLike(/^[^\p{C}]{1,100}$/u, 'NAME', 'name', 'use 1 to 100 printable characters'),
    group: KEY,
    help: 'whose key it is, for people',
    hint: 'such as --name mobile-app',
    inFile: false,
  }),
  expires: setting({
    kind: duration(100 * 365.25 * 86_400_000),
    group: KEY,
    help: 'how long it works; 0 = until it is revoked',
    fallback: 0,
    inFile: false,
  }),
  rate: setting<KeyRate | null>({
    kind: rate,
    group: LIMITS,
    help: 'requests that may begin in any such time',
    fallback: null,
    fallbackText: 'any number',
    inFile: false,
  }),
  inflight: setting<number | null>({
    kind: integer(1, 1_000_000_000),
    group: LIMITS,
    help: 'requests that may run at once',
    fallback: null,
    fallbackText: 'any number',
    inFile: false,
  }),
  weight: setting({
    kind: integer(1, 1_000),
    group: 'Its share of a queue',
    help: 'slots that it gets for one of a client with weight 1',
    fallback: 1,
    inFile: false,
  }),
  class: setting<number | null>({
    kind: integer(0, 7),
    group: 'Its share of a queue',
    help: 'class: lower is served first',
    fallback: null,
    fallbackText: '3, or as a queue plugin says',
    inFile: false,
  }),
  maxWaiting: setting<number | null>({
    kind: integer(0, 1_000_000),
    group: 'Its share of a queue',
    help: 'requests that may wait for slots at once',
    fallback: null,
    fallbackText: 'as many as the upstream lets wait',
    inFile: false,
  }),
} as const;

/** Settings of `keys list`. */
export const keysListTable = { store } as const;

/** Settings of `keys revoke`. */
export const keysRevokeTable = {
  store,
  id: setting<string>({
    kind: textLike(/^[a-z2-9]{12}$/, 'ID', 'id', 'windlass keys list shows the ids'),
    group: KEY,
    help: 'id of the key',
    hint: 'windlass keys list shows the ids',
    inFile: false,
  }),
} as const;
