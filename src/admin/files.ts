import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lookup } from 'mrmime';
import type { ReplySink, RequestSink } from '../http/exchange.ts';
import { type HeaderList, type RequestHead, ResponseHead } from '../http/head.ts';
import { GUARDS, type Answer, answer, discard, problem } from './answer.ts';

/** A page's file, and its siblings that are compressed. */
interface Shown {
  readonly type: string;
  /** By coding; '' = as it is. */
  readonly paths: ReadonlyMap<string, string>;
}

/**
 * The files of the console's pages. What may be asked for is a list that is made once of what lies in the folder, links left out: no path of a request ever
 * reaches the file system.
 */
export class Files {
  readonly #folder: string;
  #shown: Promise<ReadonlyMap<string, Shown>> | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `path`: under the console's base, from its first slash on. Answers when this has returned. */
  open(head: RequestHead, path: string, reply: ReplySink): RequestSink {
    const { method } = head;
    const isHead = method === 'HEAD';
    const accepted = (head.get('accept-encoding') ?? '').toLowerCase();
    let isOver = false;
    const say = (send: () => void): void => {
      if (isOver) return;
      isOver = true;
      send();
    };
    void this.#find(method, path, accepted).then(
      (found) =>
        say(() => {
          if ('bytes' in found) sendFile(reply, found, isHead);
          else answer(reply, found, isHead);
        }),
      () => say(() => answer(reply, problem(500, 'internal', 'The file cannot be read.'), isHead)),
    );
    return {
      ...discard(),
      abort() {
        say(() => reply.settled());
      },
    };
  }

  async #find(method: string, path: string, accepted: string): Promise<Answer | FileAnswer> {
    if (method !== 'GET' && method !== 'HEAD')
      return problem(405, 'method_not_allowed', 'Only GET and HEAD are answered here.', ['Allow', 'GET, HEAD']);
    // Read again until there is something: the pages may be built while we run.
    this.#shown ??= list(this.#folder);
    const all = await this.#shown;
    if (all.size === 0) this.#shown = null;
    const name = path === '/' ? '/index.html' : path;
    const one = all.get(name);
    if (one === undefined) return name === '/index.html' ? NO_PAGES : problem(404, 'not_found', 'Nothing is here; the console is at /.');
    const coding = CODINGS.find((each) => one.paths.has(each) && takes(accepted, each)) ?? '';
    const bytes = await readFile(one.paths.get(coding)!);
    const fields = ['Content-Type', one.type, 'Cache-Control', HASHED.test(name) ? 'public, max-age=31536000, immutable' : 'no-store', ...GUARDS];
    if (one.paths.size > 1) fields.push('Vary', 'Accept-Encoding');
    if (coding !== '') fields.push('Content-Encoding', coding);
    return { bytes, fields };
  }
}

interface FileAnswer {
  readonly bytes: Uint8Array;
  readonly fields: HeaderList;
}

/** Best first, and the endings of their files. */
const CODINGS = ['br', 'gzip'] as const;
const ENDINGS: Readonly<Record<string, string>> = { '.br': 'br', '.gz': 'gzip' };

/** A name that has a digest of the contents in it, as bundlers write them. */
const HASHED = /-[A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;

function takes(accepted: string, coding: string): boolean {
  return accepted.split(',').some((part) => {
    const [name, ...rest] = part.split(';').map((piece) => piece.trim());
    return (name === coding || name === '*') && !rest.some((piece) => /^q=0(?:\.0*)?$/.test(piece));
  });
}

function sendFile(reply: ReplySink, { bytes, fields }: FileAnswer, isHead: boolean): void {
  reply.head(ResponseHead.make(200, fields, bytes.length));
  if (!isHead && bytes.length > 0) reply.write(bytes);
  reply.end();
  reply.settled();
}

/** By path, as it is asked for. Nothing when there is no such folder. */
async function list(folder: string): Promise<ReadonlyMap<string, Shown>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const found = new Map<string, { type: string; paths: Map<string, string> }>();
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const whole = join(entry.parentPath, entry.name);
    const asked = whole.slice(folder.length).replaceAll('\\', '/').replace(/^\/?/, '/');
    const ending = /\.(?:br|gz)$/.exec(asked)?.[0] ?? '';
    const name = asked.slice(0, asked.length - ending.length);
    let one = found.get(name);
    if (one === undefined) found.set(name, (one = { type: typeOf(name), paths: new Map() }));
    one.paths.set(ENDINGS[ending] ?? '', whole);
  }
  // Compressed files without their original are none of ours.
  return new Map([...found].filter(([, { paths }]) => paths.has('')));
}

function typeOf(name: string): string {
  const type = lookup(name) ?? 'application/octet-stream';
  return type.startsWith('text/') || type === 'application/json' ? `${type}; charset=utf-8` : type;
}

/** Where the program was built without its pages. */
const NO_PAGES: Answer = {
  status: 200,
  fields: ['Content-Type', 'text/html; charset=utf-8'],
  body: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Windlass</title>
<h1>Windlass runs</h1>
<p>The pages of its console are not part of this build; <code>npm run build</code> makes them.
<p>Everything they show is in the API: <a href="api/v1/openapi.json">api/v1/openapi.json</a>.
<p>There is also <a href="healthz">healthz</a>, <a href="readyz">readyz</a>, <a href="metrics">metrics</a> and <a href="status">status</a>.
</html>
`,
};
