import { duration, scalar } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';

/** Settings of `healthcheck`. */
export const healthcheckTable = {
  url: setting<string | null>({
    kind: scalar('URL', 'address such as http://127.0.0.1:9080/readyz', (given) => {
      if (!/^https?:\/\//i.test(given) || !URL.canParse(given)) throw new Wrong('is no URL', 'write it as http://127.0.0.1:9080/readyz');
      return given;
    }),
    group: 'To start',
    help: 'what to ask; may stand without its flag',
    fallback: null,
    fallbackText: '/readyz at WINDLASS_ADMIN_ADDR, or at 127.0.0.1:9080',
    inFile: false,
  }),
  timeout: setting({ kind: duration(), group: 'To start', help: 'how long the answer may take', fallback: 3000, inFile: false }),
} as const;
