import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { nearest } from '../schema/nearest.ts';
import { parseUpstreamAddress } from '../schema/upstream-address.ts';
import { Wrong } from '../schema/wrong.ts';
import { isTable } from './expand.ts';
import type { ReadText } from './file.ts';
import { configLimits } from './limits.ts';
import { plainLine } from './plain-line.ts';
import { SettingsError } from './settings-error.ts';

/** What a file of the PI gRPC proxy says. */
export interface PiFile {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatTimeoutMs: number;
  /** In the order of the file. Never empty. */
  readonly servers: readonly PiServer[];
}

/** A gRPC server that calls go to. */
export interface PiServer {
  readonly name: string;
  /** Name or IP address, lower case, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Lower ones first: 0 to 1000. */
  readonly priority: number;
  /** Part of its capacity that is in use, 0 to 1. */
  readonly load: number;
}

/** Bytes of such a file: some ten thousand servers. */
const FILE_BYTES = 1024 * 1024;
/** Seconds that can be asked for: what health checks take. */
const SHORTEST_S = 0.1;
const LONGEST_S = 86_400;
const PRIORITY_MAX = 1_000;

/** Reads the JSON file of the PI gRPC proxy. Keys that begin with `_` are comments. @throws SettingsError with everything that is wrong, one line each */
export function readPiFile(path: string, readText: ReadText): PiFile {
  let text: string;
  try {
    text = readText(path, FILE_BYTES);
  } catch (error) {
    throw new SettingsError([`${path} ${(error as Error).message}; name the JSON file behind the command, or in PROXY_SERVER_CONFIG`]);
  }
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new SettingsError([plainLine(noJson(path, text, (error as Error).message))]);
  }
  const reader = new Reader(path, text);
  const file = reader.read(data);
  if (reader.lines.length > 0) throw new SettingsError(inOrder(reader.lines));
  return file;
}

/** Some of the parser's messages say where, and some quote the file behind a comma. */
function noJson(path: string, text: string, message: string): string {
  const at = /at position (\d+)/.exec(message)?.[1];
  const before = at === undefined ? null : text.slice(0, Number(at)).split('\n');
  const place = before === null ? path : `${path}:${before.length}:${before.at(-1)!.length + 1}`;
  const what = message
    .replace(/ \(line.*$/s, '')
    .replace(/ (?:in JSON )?at position.*$/s, '')
    .replace(/, (?:\.\.\.)?".*$/s, '');
  return `${place} is no valid JSON: ${what}; text stands in double quotes, no comma behind the last item, and a comment is a key that begins with _`;
}

type Path = readonly (string | number)[];

interface Line {
  readonly at: { readonly line: number; readonly col: number } | null;
  readonly text: string;
}

function inOrder(lines: readonly Line[]): readonly string[] {
  const told = lines.slice(0, configLimits.problems).toSorted((a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.col ?? 0) - (b.at?.col ?? 0));
  const unsaid = lines.length - told.length;
  return [...told.map(({ text }) => plainLine(text)), ...(unsaid === 0 ? [] : [`and ${unsaid} more`])];
}

const TOP_KEYS = ['heartbeatInterval', 'heartbeatTimeout', 'servers'] as const;
const SERVER_KEYS = ['priority', 'name', 'address', 'port', 'load'] as const;

class Reader {
  readonly lines: Line[] = [];
  readonly #path: string;
  readonly #text: string;
  /** Made when there is something to say. */
  #places: ((path: Path) => Line['at']) | null = null;

  constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  read(data: unknown): PiFile {
    if (!isTable(data)) {
      this.#wrong([], 'holds no settings', 'write { "heartbeatInterval": 10, "heartbeatTimeout": 5, "servers": [ … ] }');
      return { heartbeatIntervalMs: 0, heartbeatTimeoutMs: 0, servers: [] };
    }
    this.#unknownKeys([], data, TOP_KEYS, 'no setting');
    return {
      heartbeatIntervalMs: this.#seconds(data, 'heartbeatInterval', 10),
      heartbeatTimeoutMs: this.#seconds(data, 'heartbeatTimeout', 5),
      servers: this.#servers(data),
    };
  }

  #seconds(data: Readonly<Record<string, unknown>>, key: string, usual: number): number {
    const value = data[key];
    if (value === undefined) this.#wrong([], `needs ${key}`, `write "${key}": ${usual} (seconds)`);
    else if (typeof value !== 'number') this.#wrong([key], `${shown(value)} is no number`, `write seconds without quotes, such as ${usual}`);
    else if (value < SHORTEST_S || value > LONGEST_S)
      this.#wrong([key], `${shown(value)} is out of range`, `give seconds from ${SHORTEST_S} to ${LONGEST_S}, such as ${usual}`);
    else return Math.round(value * 1000);
    return 0;
  }

  #servers({ servers }: Readonly<Record<string, unknown>>): readonly PiServer[] {
    if (servers === undefined) this.#wrong([], 'needs servers', 'write "servers": [ { "address": "server_container1", "port": 50051 } ]');
    else if (!Array.isArray(servers))
      this.#wrong(['servers'], `${shown(servers)} is no list`, 'write [ { "address": "server_container1", "port": 50051 } ]');
    else if (servers.length === 0) this.#wrong(['servers'], 'is empty', 'name at least one server');
    if (!Array.isArray(servers)) return [];
    const places = new Map<string, number>();
    const found = servers.map((server: unknown, i): PiServer => {
      const one = this.#server(['servers', i], server);
      const place = `${one.host}:${one.port}`;
      const other = places.get(place);
      if (one.host === '' || one.port === 0) return one;
      if (other === undefined) places.set(place, i);
      else this.#wrong(['servers', i], `is at ${place}, as servers[${other}] is`, 'keep one of them');
      return one;
    });
    return ranked(found);
  }

  #server(path: Path, data: unknown): PiServer {
    const none = { name: '', host: '', port: 0, priority: 0, load: 0 };
    if (!isTable(data)) {
      this.#wrong(
        path,
        `${shown(data)} is no server`,
        'write { "priority": 0, "name": "tts", "address": "server_container1", "port": 50051, "load": 0.5 }',
      );
      return none;
    }
    this.#unknownKeys(path, data, SERVER_KEYS, 'no key of a server');
    const port = this.#port(path, data['port']);
    const host = this.#host(path, data['address']);
    const { name, priority, load } = data;
    if (name !== undefined && typeof name !== 'string') this.#wrong([...path, 'name'], `${shown(name)} is no text`, 'write it in double quotes');
    if (priority !== undefined && typeof priority !== 'number')
      this.#wrong([...path, 'priority'], `${shown(priority)} is no number`, 'write it without quotes; lower ones are preferred');
    if (load !== undefined && !(typeof load === 'number' && load >= 0 && load <= 1))
      this.#wrong([...path, 'load'], `${shown(load)} is no load`, 'give the part of its capacity that is in use, from 0 to 1, such as 0.5');
    return {
      name: typeof name === 'string' && name !== '' ? name : `${host}:${port}`,
      host,
      port,
      priority: typeof priority === 'number' ? priority : 0,
      load: typeof load === 'number' ? load : 0,
    };
  }

  #port(path: Path, value: unknown): number {
    if (value === undefined) this.#wrong(path, 'needs port', 'write "port": 50051');
    else if (typeof value !== 'number') this.#wrong([...path, 'port'], `${shown(value)} is no number`, 'write it without quotes, such as 50051');
    else if (!Number.isInteger(value) || value < 1 || value > 65_535)
      this.#wrong([...path, 'port'], `${shown(value)} is no port`, 'give a number from 1 to 65535');
    else return value;
    return 0;
  }

  #host(path: Path, value: unknown): string {
    if (value === undefined) this.#wrong(path, 'needs address', 'write "address": "server_container1"');
    else if (typeof value !== 'string') this.#wrong([...path, 'address'], `${shown(value)} is no text`, 'write it in double quotes');
    else {
      const bare = value.startsWith('[') && value.endsWith(']') ? value.slice(1, -1) : value;
      try {
        const { host, port } = parseUpstreamAddress(
          bare.includes(':') && /^[\da-f:.]+$/i.test(bare) && bare.split(':').length > 2 ? `[${bare}]` : value,
        );
        if (port === 0 && !/\s/.test(value.trim())) return host;
        this.#wrong([...path, 'address'], `${shown(value)} is more than an address`, 'write the name or IP address alone, and the port as "port"');
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        this.#wrong([...path, 'address'], `${shown(value)} ${error.message}`, 'give the name or IP address of a server, such as "server_container1"');
      }
    }
    return '';
  }

  #unknownKeys(path: Path, data: Readonly<Record<string, unknown>>, known: readonly string[], what: string): void {
    for (const key of Object.keys(data)) {
      if (key.startsWith('_') || known.includes(key)) continue;
      const near = nearest(key, known);
      this.#wrong(
        [...path, key],
        `is ${what}`,
        near === null ? `there are ${known.join(', ')}; a comment begins with _` : `did you mean ${near}? (a comment begins with _)`,
      );
    }
  }

  #wrong(path: Path, message: string, fix: string): void {
    this.#places ??= placesIn(this.#text);
    const at = this.#places(path);
    const file = at === null ? this.#path : `${this.#path}:${at.line}:${at.col}`;
    this.lines.push({ at, text: `${[file, subjectOf(path), message].filter((part) => part !== '').join(' ')}; ${fix}` });
  }
}

/** Numbers that our tiers cannot have (negative ones, fractions) become their places in the order, which is all that counts. */
function ranked(servers: readonly PiServer[]): readonly PiServer[] {
  if (servers.every(({ priority }) => Number.isInteger(priority) && priority >= 0 && priority <= PRIORITY_MAX)) return servers;
  const order = [...new Set(servers.map(({ priority }) => priority))].toSorted((a, b) => a - b);
  return servers.map((server) => ({ ...server, priority: Math.min(PRIORITY_MAX, order.indexOf(server.priority)) }));
}

/** `servers[1].port` */
function subjectOf(path: Path): string {
  return path.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${printable(part)}`)).join('');
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}

function printable(key: string): string {
  return key.length <= SHOWN_CHARACTERS ? key : `${key.slice(0, SHOWN_CHARACTERS)}…`;
}

const SHOWN_CHARACTERS = 60;

/** Where keys and items stand: JSON is YAML, and its parser tells. Null where it does not. */
function placesIn(text: string): (path: Path) => Line['at'] {
  const lines = new LineCounter();
  let root: Node | null;
  try {
    root = parseDocument(text, { lineCounter: lines, uniqueKeys: false, schema: 'json' }).contents;
  } catch {
    return () => null;
  }
  return (path) => {
    let node: unknown = root;
    let offset: number | null = null;
    for (const part of path) {
      if (isSeq(node) && typeof part === 'number') node = node.items[part];
      else if (isMap(node)) {
        // Of keys that stand twice the last counts.
        const pair: { key: unknown; value: unknown } | undefined = node.items.findLast(({ key }) => isScalar(key) && key.value === part);
        offset = isScalar(pair?.key) ? (pair.key.range?.[0] ?? null) : null;
        node = pair?.value;
        continue;
      } else return null;
      offset = (node as Node | undefined)?.range?.[0] ?? null;
    }
    if (offset === null) return null;
    const { line, col } = lines.linePos(offset);
    return { line, col };
  };
}
