import { Wrong } from '../schema/wrong.ts';
import { isTable } from './expand.ts';
import { builtInPlugin } from './plugin-definitions.ts';
import type { Report } from './report.ts';
import type { Entry, Item } from './tree.ts';

/** Categories of April 2024 by their number, in today's names. */
export const PLUGIN_CATEGORIES: readonly string[] = [
  'stats',
  'limit',
  'compression',
  'admin',
  'directory',
  'mock',
  'request_id',
  'ip_restriction',
  'key_auth',
  'basic_auth',
  'cache',
  'redirect',
];

/** Steps had numbers, too, and other names. */
const STEPS: ReadonlyMap<string, string> = new Map([
  ['0', 'request'],
  ['1', 'proxy_upstream'],
  ['request_filter', 'request'],
  ['proxy_upstream_filter', 'proxy_upstream'],
]);

/**
 * Makes today's section of a plugin of April 2024, which had a number for its category and all of its options in one text: `value = "ip 10"`. What cannot be
 * understood is reported at its place.
 */
export function translatePlugin(item: Item, report: Report): void {
  const { entries, subject } = item;
  const category = entries.get('category');
  const isNumber = category !== undefined && /^\d+$/.test(String(category.value));
  const name = isNumber ? PLUGIN_CATEGORIES[Number(category.value)] : undefined;
  if (category !== undefined && name !== undefined) entries.set('category', { ...category, value: name });
  const step = entries.get('step');
  const today = step === undefined ? undefined : STEPS.get(String(step.value));
  if (step !== undefined && today !== undefined) entries.set('step', { ...step, value: today });
  if (name !== undefined) moveStep(item, name, report);

  const value = entries.get('value');
  const old =
    name ?? (typeof category?.value === 'string' && value !== undefined && !entries.has('module') ? category.value.replaceAll('-', '_') : '');
  const translate = VALUES.get(old);
  if (translate === undefined || value?.broken === true) return;
  if (value !== undefined && typeof value.value !== 'string') {
    report.error(value.place, `${subject}.${value.key}`, 'is no text; write value = "…", or the options of today');
    return;
  }
  entries.delete('value');
  let options: Options;
  try {
    options = translate(typeof value?.value === 'string' ? value.value.trim() : '');
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    // The text itself may hold a secret.
    report.error(value?.place ?? item.place, value === undefined ? subject : `${subject}.${value.key}`, `${error.message}; ${error.fix}`);
    // What else is missing now would be told as well, and mislead.
    if (category !== undefined) entries.set('category', { ...category, broken: true });
    return;
  }
  for (const [key, of] of Object.entries(options)) {
    const other = entries.get(key);
    if (other !== undefined) report.error(other.place, `${subject}.${other.key}`, 'is in value, too; keep one');
    const from: Pick<Entry, 'place' | 'written'> = value ?? { place: item.place, written: null };
    entries.set(key, { key, value: of, place: from.place, written: from.written });
  }
}

/** Plugins could be put at either step; now most have one that is right. */
function moveStep(item: Item, category: string, report: Report): void {
  const step = item.entries.get('step');
  const steps: readonly unknown[] | undefined = builtInPlugin(category)?.steps;
  if (step === undefined || steps === undefined || steps.includes(step.value)) return;
  item.entries.delete('step');
  report.warn(step.place, `${item.subject}.${step.key}`, `is not used: ${category} has its own place; leave it out`);
}

/** Options of today, by their names in the file. */
type Options = Readonly<Record<string, string | number | boolean | readonly string[]>>;

const VALUES: ReadonlyMap<string, (value: string) => Options> = new Map([
  ['stats', (value) => ({ path: given(value, 'the path, such as /stats') })],
  ['limit', limit],
  ['compression', compression],
  ['admin', admin],
  ['directory', directory],
  ['mock', mock],
  ['request_id', requestId],
  ['ip_restriction', ipRestriction],
  ['key_auth', keyAuth],
  ['basic_auth', (value) => ({ authorizations: list(given(value, 'user:password in base64, several with commas')) })],
  ['cache', cache],
  ['redirect', (value) => ({ http_to_https: true, ...(value === '' ? {} : { prefix: value.replace(/(?<=.)\/$/, '') }) })],
]);

/** `~cookie 10`, `>header 10`, `?query 10`, `ip 10`: requests at once. */
function limit(value: string): Options {
  const [, sign, key, max] = /^([~>?]?)(\S+)\s+(\d{1,9})$/.exec(value) ?? [];
  if (sign === undefined || (sign === '' && key !== 'ip'))
    throw new Wrong('is no limit', 'write "ip 10", "~COOKIE 10", ">HEADER 10" or "?PARAMETER 10"');
  const tag = TAGS.get(sign)!;
  return { type: 'inflight', tag, ...(tag === 'ip' ? {} : { key: key! }), max: Number(max) };
}

const TAGS: ReadonlyMap<string, string> = new Map([
  ['', 'ip'],
  ['~', 'cookie'],
  ['>', 'header'],
  ['?', 'query'],
]);

/** `6 6 3`: levels of gzip, brotli and zstd. */
function compression(value: string): Options {
  const levels = value === '' ? [] : value.split(/\s+/);
  if (levels.length < 1 || levels.length > 3 || levels.some((level) => !/^\d{1,2}$/.test(level)))
    throw new Wrong('has no levels', 'write those of gzip, brotli and zstd, such as "6 6 3"; 0 is off');
  const [gzip, brotli = 0, zstd = 0] = levels.map(Number);
  return { gzip_level: gzip!, br_level: brotli, zstd_level: zstd };
}

/** `/pingap YWRtaW46c2VjcmV0,…`: where it stands, and who may come in. */
function admin(value: string): Options {
  const [, path, users] = /^(\S+)(?:\s+(\S+))?$/.exec(value) ?? [];
  if (path === undefined) throw new Wrong('is missing or no path', 'write path = "/pingap", and who may log in as [admins.NAME]');
  return { path, ...(users === undefined ? {} : { authorizations: list(users) }) };
}

/** `~/dl?chunk_size=4096&max_age=3600&private&index=index.html&charset=utf-8` */
function directory(value: string): Options {
  const { before, options } = parts(given(value, 'the folder'), ['chunk_size', 'max_age', 'private', 'index', 'charset']);
  const age = options.get('max_age');
  return {
    path: given(before, 'the folder'),
    ...pick(options, ['index', 'charset', 'chunk_size']),
    ...(age === undefined ? {} : { max_age: /^\d+$/.test(age) ? `${age}s` : age }),
    ...(options.has('private') ? { private: true } : {}),
  };
}

/** `{"path":"/x","status":200,"headers":["A: b"],"data":"…"}` */
function mock(value: string): Options {
  let data: unknown;
  try {
    data = JSON.parse(given(value, 'a JSON object'));
  } catch (error) {
    if (error instanceof Wrong) throw error;
    throw new Wrong('is no JSON', 'write {"path": "/x", "status": 200, "headers": ["A: b"], "data": "…"}');
  }
  if (!isTable(data)) throw new Wrong('is no JSON object', 'write {"path": "/x", "status": 200, "data": "…"}');
  const { path = '', status, headers, data: body, ...more } = data;
  const [unknown] = Object.keys(more);
  if (unknown !== undefined) throw new Wrong(`has a key ${JSON.stringify(unknown)}`, 'path, status, headers and data are known');
  const lines =
    headers === undefined || headers === null
      ? []
      : isTable(headers)
        ? Object.entries(headers).map(([name, of]) => `${name}: ${String(of)}`)
        : headers;
  if (!Array.isArray(lines) || lines.some((line) => typeof line !== 'string'))
    throw new Wrong('has headers that are no list', 'write "headers": ["A: b"]');
  if (typeof path !== 'string') throw new Wrong('has a path that is no text', 'write "path": "/x"');
  return {
    ...(path === '' ? {} : { path }),
    ...(typeof status === 'number' ? { status } : {}),
    ...(lines.length === 0 ? {} : { headers: lines as readonly string[] }),
    ...(body === undefined || body === null ? {} : { data: typeof body === 'string' ? body : JSON.stringify(body) }),
  };
}

/** `nanoid 8` or `uuid` */
function requestId(value: string): Options {
  const [, algorithm, size] = /^(uuid|nanoid)?(?:\s+(\d{1,3}))?$/.exec(value) ?? [];
  if (algorithm === undefined && value !== '') throw new Wrong('is neither', 'write "uuid", or "nanoid 21"');
  return { ...(algorithm === undefined ? {} : { algorithm }), ...(algorithm === 'nanoid' && size !== undefined ? { size: Number(size) } : {}) };
}

/** `1.1.1.1,10.0.0.0/8 0`: 0 lets in, 1 keeps out. */
function ipRestriction(value: string): Options {
  const [, addresses, type] = /^(\S+)(?:\s+([01]))?$/.exec(value) ?? [];
  if (addresses === undefined) throw new Wrong('is no list of addresses', 'write "10.0.0.0/8,192.0.2.7 0"; 0 lets them in, 1 keeps them out');
  return { ip_list: list(addresses), type: type === '1' ? 'deny' : 'allow' };
}

/** `?app k1,k2` or `X-App k1,k2` */
function keyAuth(value: string): Options {
  const [, mark, name, keys] = /^(\??)(\S+)\s+(\S+)$/.exec(value) ?? [];
  if (name === undefined) throw new Wrong('is no key', 'write "?PARAMETER key1,key2" or "HEADER key1,key2"');
  return { [mark === '?' ? 'query' : 'header']: name, keys: list(keys!) };
}

/** `memory://…?lock=3&eviction&max_file_size=100kb&namespace=one&headers=a,b` */
function cache(value: string): Options {
  const { before, options } = parts(value, ['lock', 'eviction', 'max_file_size', 'namespace', 'headers', 'max_size']);
  if (before !== '' && !before.startsWith('memory:')) throw new Wrong('keeps answers in files', 'write "memory://", or "memory://?max_size=1gb"');
  const lock = options.get('lock');
  const headers = options.get('headers');
  return {
    ...pick(options, ['max_file_size', 'namespace', 'max_size']),
    ...(lock === undefined ? {} : { lock: /^\d+$/.test(lock) ? `${lock}s` : lock }),
    ...(headers === undefined || headers === '' ? {} : { headers: list(headers) }),
    ...(options.has('eviction') ? { eviction: true } : {}),
  };
}

function given(value: string, what: string): string {
  if (value === '') throw new Wrong('is missing or empty', `put ${what}, into value`);
  return value;
}

function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

/** What stands before the question mark, and the parameters behind it. @throws Wrong for one that is not known */
function parts(value: string, known: readonly string[]): { readonly before: string; readonly options: ReadonlyMap<string, string> } {
  const mark = value.indexOf('?');
  const options = new Map(mark < 0 ? [] : new URLSearchParams(value.slice(mark + 1)));
  for (const key of options.keys())
    if (!known.includes(key)) throw new Wrong(`has a parameter ${JSON.stringify(key)}`, `${known.join(', ')} are known`);
  return { before: mark < 0 ? value : value.slice(0, mark), options };
}

function pick(options: ReadonlyMap<string, string>, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries([...options].filter(([key, value]) => value !== '' && keys.includes(key)));
}
