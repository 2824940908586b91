import type { LogEntry, Page } from './model.ts';
import { readPaging } from './paging.ts';
import { type AdminRoute, Problem } from './route.ts';

/** The last lines of the program's own log. */
export interface LogsBackend {
  /** The latest first. */
  list(wanted: (line: LogEntry) => boolean, limit: number): Promise<Page<LogEntry>>;
  /** @returns ends it */
  follow(wanted: (line: LogEntry) => boolean, heard: (line: LogEntry) => void): () => void;
}

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error'] satisfies readonly LogEntry['level'][];
const QUERY = { level: `The least important lines to show: ${LEVELS.join(', ')}.`, query: 'Text that stands in the message or the fields.' };

/** What the program says of itself. */
export function logsRoutes(backend: LogsBackend): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/logs',
      role: 'read',
      summary: 'The last lines of the log, the latest first.',
      query: { ...QUERY, limit: 'How many; 200 when absent.' },
      handle: async ({ query }) => ({ json: await backend.list(wantedBy(query), readPaging(query, 200, 1_000).limit) }),
    },
    {
      method: 'GET',
      path: '/logs/events',
      role: 'read',
      summary: 'Lines of the log as they are written: events `line`.',
      query: QUERY,
      handle: ({ query }) => {
        const wanted = wantedBy(query);
        return { events: (out) => backend.follow(wanted, (line) => out.send('line', line)) };
      },
    },
  ];
}

function wantedBy(query: URLSearchParams): (line: LogEntry) => boolean {
  const level = query.get('level') || 'debug';
  const least = LEVELS.indexOf(level);
  if (least < 0) throw new Problem(400, 'bad_query', `level is one of ${LEVELS.join(', ')}.`);
  const text = (query.get('query') ?? '').toLowerCase();
  return (line) =>
    LEVELS.indexOf(line.level) >= least &&
    (text === '' || line.message.toLowerCase().includes(text) || JSON.stringify(line.fields).toLowerCase().includes(text));
}
