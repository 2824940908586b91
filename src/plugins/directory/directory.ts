import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { bytes, duration, list, path, scalar, textLike, toggle } from '../../schema/kind.ts';
import { setting, type Values } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { chooseCoding, codingWeights } from '../../http/accept-encoding.ts';
import { isNotModified, isPreconditionFailed, isRangeWanted } from '../../http/conditional.ts';
import { FieldLines } from '../../http/field-lines.ts';
import { readRange } from '../../http/range.ts';
import { definePlugin, type Plugin, type PluginExchange, type PluginRequest, type Reply } from '../../proxy/plugin.ts';
import { FileSource, ReadBuffers } from './file-source.ts';
import { SETTLED_MS } from './limits.ts';
import { listingOf } from './listing.ts';
import { mediaTypeOf } from './media-type.ts';
import { ABSENT, findPlace, type Found, namesOf } from './place.ts';

const plainPath = path('a folder; ~ is the home of who runs Windlass');
const table = {
  path: setting({
    kind: {
      ...plainPath,
      fromToml: (value: unknown, folder: string): string => {
        const given = typeof value === 'string' && /^~(?:\/|$)/.test(value) ? join(homedir(), value.slice(1)) : value;
        return plainPath.fromToml(given, folder);
      },
    },
    group: 'Files',
    help: 'the folder whose files are given out',
    hint: 'write path = "/var/www"',
  }),
  index: setting({
    kind: textLike(/^[^/\\\0]{1,200}$/, 'NAME', 'name of a file', 'write a name without slashes'),
    group: 'Files',
    help: 'the file that stands for its folder',
    fallback: 'index.html',
  }),
  autoindex: setting({ kind: toggle(), group: 'Files', help: 'list folders without that file', fallback: false }),
  spaFallback: setting<string | null>({
    kind: textLike(/^[^\\\0]{1,500}$/, 'FILE', 'a file in the folder', 'write a path from the folder such as index.html'),
    group: 'Files',
    help: 'the file for what is not there, when the last part of the path has no dot: for applications that route in the browser',
    fallback: null,
    fallbackText: 'none',
  }),
  fallthrough: setting({ kind: toggle(), group: 'Files', help: 'leave what is not there, and other methods, to the upstream', fallback: false }),
  followSymlinks: setting({ kind: toggle(), group: 'Files', help: 'follow symbolic links that stay inside the folder', fallback: true }),
  dotfiles: setting({ kind: toggle(), group: 'Files', help: 'give out and list what begins with a dot (.well-known always)', fallback: false }),
  precompressed: setting({
    kind: toggle(),
    group: 'Files',
    help: 'give FILE.zst, FILE.br or FILE.gz in its place to those who take that',
    fallback: false,
  }),
  chunkSize: setting({ kind: bytes(), group: 'Files', help: 'bytes that are read at once, from 4096 to 16MiB', fallback: 64 * 1024 }),
  maxAge: setting<number | null>({
    kind: duration(),
    group: 'Headers',
    help: 'how long clients may keep files (HTML is always checked)',
    fallback: null,
    fallbackText: 'private, no-cache',
  }),
  private: setting({ kind: toggle(), group: 'Headers', help: 'only clients may keep them, no caches between', fallback: false }),
  charset: setting({
    kind: textLike(/^[\w.:-]{1,40}$/, 'NAME', 'name of a charset', 'write it as utf-8'),
    group: 'Headers',
    help: 'charset of text files',
    fallback: 'utf-8',
  }),
  headers: setting<readonly (readonly [string, string])[]>({
    kind: list(scalar('NAME: VALUE', 'header such as X-Frame-Options: DENY', fieldOf), /\n/, 'several in a list'),
    group: 'Headers',
    help: 'more headers, with files and listings',
    fallback: [],
  }),
  download: setting({ kind: toggle(), group: 'Headers', help: 'browsers save files and do not show them', fallback: false }),
} as const;

/** Gives out files of a folder. */
export const directoryPlugin = definePlugin({
  name: 'directory',
  summary: 'gives out the files of a folder: ranges, conditions, listings, files that are compressed already',
  steps: ['request', 'proxy_upstream'],
  settings: table,
  async create(settings, { step, clock }) {
    const { chunkSize } = settings;
    if (chunkSize < 4096 || chunkSize > 16 * 1024 * 1024) throw new Wrong('has a chunk_size out of range', 'use 4096 to 16MiB');
    const about = await stat(settings.path).catch(() => null);
    if (about === null || !about.isDirectory()) throw new Wrong(`has no folder at ${settings.path}`, 'make it, or correct path');
    const files = new Directory(settings, () => clock.wall());
    const answer: NonNullable<Plugin['request']> = (exchange) => files.answer(exchange);
    return step === 'proxy_upstream' ? { upstream: answer } : { request: answer };
  },
});

/** Of a file's answer, what does not depend on which part is sent. */
interface About {
  readonly etag: string;
  readonly modifiedMs: number;
  readonly fields: string[];
}

type OpenFile = Extract<Found, { kind: 'file' }>;

class Directory {
  readonly #settings: Values<typeof table>;
  readonly #wall: () => number;
  readonly #buffers: ReadBuffers;
  readonly #more: FieldLines;
  readonly #spa: readonly string[] | null;

  constructor(settings: Values<typeof table>, wall: () => number) {
    this.#settings = settings;
    this.#wall = wall;
    this.#buffers = new ReadBuffers(settings.chunkSize);
    this.#more = FieldLines.of(['X-Content-Type-Options', 'nosniff', ...settings.headers.flat()]);
    this.#spa = settings.spaFallback === null ? null : settings.spaFallback.split('/').filter((name) => name !== '');
  }

  async answer(exchange: PluginExchange): Promise<Reply | undefined> {
    const { request } = exchange;
    const { fallthrough } = this.#settings;
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return fallthrough ? undefined : say(405, 'files can be read with GET and HEAD\n', ['Allow', 'GET, HEAD']);
    const { path: wanted } = request;
    const names = namesOf(wanted, this.#settings.dotfiles);
    const found = names === null ? ABSENT : await this.#find(names);
    if (found.kind === 'forbidden') return say(403, 'forbidden\n');
    if (found.kind === 'file') {
      // A file is no folder.
      if (!wanted.endsWith('/')) return this.#give(request, names!, found);
      await found.file.close();
    } else if (found.kind === 'folder') {
      if (!wanted.endsWith('/')) return redirect(request);
      const index = await this.#find([...names!, this.#settings.index]);
      if (index.kind === 'file') return this.#give(request, [...names!, this.#settings.index], index);
      if (this.#settings.autoindex) return this.#list(found.path, names!);
    }
    if (this.#spa !== null && !/\.[^/]*$/.test(wanted)) {
      const spa = await this.#find(this.#spa);
      if (spa.kind === 'file') return this.#give(request, this.#spa, spa);
    }
    return fallthrough ? undefined : say(404, 'not found\n');
  }

  #find(names: readonly string[]): Promise<Found> {
    return findPlace(this.#settings.path, names, this.#settings.followSymlinks);
  }

  async #give(request: PluginRequest, names: readonly string[], plain: OpenFile): Promise<Reply> {
    const [chosen, coding] = this.#settings.precompressed ? await this.#packed(request, names, plain) : [plain, null];
    const about = this.#about(names.at(-1)!, chosen, coding);
    const { file, size } = chosen;
    const { fields } = about;
    // Not the file's fields: nothing of it is sent, and nobody may keep that.
    const refused = async (status: number, more: string[]): Promise<Reply> => {
      await file.close();
      return say(status, '', ['ETag', about.etag, ...more]);
    };
    if (isPreconditionFailed(request.header('if-match'), request.header('if-unmodified-since'), about)) return refused(412, []);
    if (isNotModified(request.header('if-none-match'), request.header('if-modified-since'), about)) {
      await file.close();
      return { status: 304, headers: fields, lines: this.#more };
    }
    const asked = request.method === 'GET' ? request.header('range') : undefined;
    const range = asked === undefined || !isRangeWanted(request.header('if-range'), about) ? null : readRange(asked, size);
    if (range === 'none') return refused(416, ['Content-Range', `bytes */${size}`]);
    const body = new FileSource(file, range ?? { start: 0, end: size }, this.#buffers);
    if (range === null) return { status: 200, headers: fields, lines: this.#more, body };
    return { status: 206, headers: [...fields, 'Content-Range', `bytes ${range.start}-${range.end - 1}/${size}`], lines: this.#more, body };
  }

  /** The file that somebody compressed beforehand, when the client takes it and it is not older than what it stands for. */
  async #packed(request: PluginRequest, names: readonly string[], plain: OpenFile): Promise<[OpenFile, string | null]> {
    const accept = request.header('accept-encoding');
    const weights = accept === undefined ? null : codingWeights(accept);
    let left = [...CODINGS.keys()];
    while (weights !== null && left.length > 0) {
      const coding = chooseCoding(weights, left);
      if (coding === null) break;
      const found = await this.#find([...names.slice(0, -1), names.at(-1)! + CODINGS.get(coding)!]);
      if (found.kind === 'file') {
        const isCurrent = found.modifiedMs >= plain.modifiedMs;
        await (isCurrent ? plain : found).file.close();
        if (isCurrent) return [found, coding];
      }
      left = left.filter((one) => one !== coding);
    }
    return [plain, ''];
  }

  /** `coding`: null = there is no choice, '' = the plain one of several. */
  #about(name: string, { size, modifiedMs }: OpenFile, coding: string | null): About {
    const { charset, maxAge, private: isPrivate, download } = this.#settings;
    const type = mediaTypeOf(name, charset);
    const tag = `"${size.toString(16)}-${Math.floor(modifiedMs * 1000).toString(16)}${coding === null || coding === '' ? '' : `-${coding}`}"`;
    const etag = this.#wall() - modifiedMs < SETTLED_MS ? `W/${tag}` : tag;
    const wholeMs = Math.floor(modifiedMs / 1000) * 1000;
    const keeps =
      maxAge === null
        ? 'private, no-cache'
        : `${isPrivate ? 'private, ' : ''}${type.startsWith('text/html') ? 'no-cache' : `max-age=${Math.floor(maxAge / 1000)}`}`;
    const fields = [
      'Content-Type',
      type,
      'Cache-Control',
      keeps,
      'ETag',
      etag,
      'Last-Modified',
      new Date(wholeMs).toUTCString(),
      'Accept-Ranges',
      'bytes',
      'Date',
      new Date(this.#wall()).toUTCString(),
    ];
    if (coding !== null) fields.push('Vary', 'Accept-Encoding');
    if (coding !== null && coding !== '') fields.push('Content-Encoding', coding);
    if (download) fields.push('Content-Disposition', dispositionOf(name));
    return { etag, modifiedMs: wholeMs, fields };
  }

  async #list(folder: string, names: readonly string[]): Promise<Reply> {
    const { path: root, dotfiles, followSymlinks } = this.#settings;
    const body = await listingOf(folder, { root, names, showsDotfiles: dotfiles, followsLinks: followSymlinks });
    const headers = [
      'Content-Type',
      'text/html; charset=utf-8',
      'Cache-Control',
      'private, no-cache',
      'Content-Security-Policy',
      "default-src 'none'; style-src 'unsafe-inline'",
    ];
    return { status: 200, headers, lines: this.#more, body };
  }
}

/** Best first. */
const CODINGS: ReadonlyMap<string, string> = new Map([
  ['zstd', '.zst'],
  ['br', '.br'],
  ['gzip', '.gz'],
]);

function say(status: number, body: string, more: string[] = []): Reply {
  return { status, headers: ['Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-store', ...more], body };
}

/** To the folder's own address, relative, so that it is right behind any prefix, and never leads to another host, whatever the path begins with. */
function redirect(request: PluginRequest): Reply {
  const last = request.path.slice(request.path.lastIndexOf('/') + 1);
  const safe = last.replaceAll(/[^\w.~%-]/g, (c) => `%${c.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`);
  const to = `./${safe}/${request.query === '' ? '' : `?${request.query}`}`;
  return { ...say(301, 'it is a folder\n'), headers: ['Location', to, 'Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-cache'] };
}

/** RFC 6266: plain for old clients, exact for the others. */
function dispositionOf(name: string): string {
  const plain = name.replaceAll(/[^\w.() -]/g, '_');
  const exact = encodeURIComponent(name).replaceAll(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}

function fieldOf(given: string): readonly [string, string] {
  const at = given.indexOf(':');
  if (at < 1) throw new Wrong('is no header', 'write NAME: VALUE');
  const pair = [given.slice(0, at).trim(), given.slice(at + 1).trim()] as const;
  try {
    FieldLines.of(pair);
  } catch (error) {
    throw new Wrong(`is no header: ${(error as Error).message}`, 'write NAME: VALUE');
  }
  return pair;
}
