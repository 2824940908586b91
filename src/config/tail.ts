import { readTrafficFilter } from '../admin/traffic-filter.ts';
import { duration, integer, scalar, text } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import { adminClientTable } from './admin-client.ts';

const WHICH = 'Which requests';

function filter(word: string, says: string, help: string, fallbackText = 'any') {
  return setting<string>({ kind: text(word, says), group: WHICH, help, fallback: '', fallbackText, inFile: false });
}

/** Settings of `tail`. */
export const tailTable = {
  status: setting<string>({
    kind: scalar('STATUS', 'status, range or class', (given) => {
      try {
        readTrafficFilter(new URLSearchParams({ status: given }));
      } catch {
        throw new Wrong('is no status', 'write it as 404, 5xx, ">=500", "<400" or 400-499; several separated by commas');
      }
      return given;
    }),
    group: WHICH,
    help: 'such as 404, 5xx, >=500, <400 or 400-499; several separated by commas',
    fallback: '',
    fallbackText: 'any',
    inFile: false,
  }),
  path: filter('PATH', 'beginning of a path', 'the beginning of the path; with * for any text, all of it'),
  method: filter('METHOD', 'method', 'such as GET; several separated by commas'),
  location: filter('NAME', 'name of a location', 'the location that took it'),
  // Not --upstream and --host: their environment names are those of agent run and hub run.
  upstreamName: filter('NAME', 'name of an upstream', 'the upstream that it went to'),
  agent: filter('AGENT', 'id or name of an agent', 'the agent that answered: its id, or its name when no other agent has it'),
  hostName: filter('HOST', 'host name', 'the host that was asked for'),
  server: filter('NAME', 'name of a server', 'the server that it came in by'),
  slow: setting<number | null>({
    kind: duration(),
    group: WHICH,
    help: 'only what took as long',
    fallback: null,
    fallbackText: 'any',
    inFile: false,
  }),
  last: setting({ kind: integer(0, 1_000), group: WHICH, help: 'how many of those that are over to show first', fallback: 10, inFile: false }),
  count: setting<number | null>({
    kind: integer(1, 1_000_000_000),
    group: WHICH,
    help: 'leave after so many',
    fallback: null,
    fallbackText: 'until Ctrl-C',
    inFile: false,
  }),
  ...adminClientTable,
} as const;
