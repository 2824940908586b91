// HOT: apply() runs per request of a location that edits headers.
import type { RequestHead } from '../http/head.ts';
import { HOST, idOfName, X_FORWARDED_PORT } from '../http/names.ts';
import { type Kind, list, scalar } from '../schema/kind.ts';
import { Wrong } from '../schema/wrong.ts';
import { compileTemplate, type Names, type Scope, type Template } from './template.ts';

/** A header as it stands in the configuration. */
export interface FieldText {
  readonly name: string;
  /** May hold variables. */
  readonly value: string;
}

/** What a location does to the headers of its requests. */
export interface FieldEdits {
  /** After http/forwarded.ts and the rewrite, before an endpoint is chosen; once per request. */
  apply(head: RequestHead, scope: Scope): void;
  /** Are there headers that name the endpoint (`$upstream_addr`)? Then applyLate() is to be called for every attempt, `notes.endpoint` filled. */
  readonly hasLate: boolean;
  applyLate(head: RequestHead, scope: Scope): void;
}

/** What to do, as configured. */
export interface EditSettings {
  readonly set: readonly FieldText[];
  readonly add: readonly FieldText[];
  readonly remove: readonly string[];
  /** `enable_reverse_proxy_headers`: X-Real-IP and X-Forwarded-Port as well. */
  readonly reverseProxy: boolean;
}

/** Header lines `name: value`. */
export function fieldTexts(): Kind<readonly FieldText[]> {
  return list(
    scalar('NAME: VALUE', 'header such as X-Tenant: $tenant', parseFieldText, { format: ({ name, value }) => `${name}: ${value}` }),
    /\n/,
    'several in a list',
  );
}

export function fieldNames(): Kind<readonly string[]> {
  return list(
    scalar('NAME', 'name of a header', (given) => {
      allowed(given.trim(), 'removed');
      return given.trim();
    }),
  );
}

/** @throws Wrong */
export function parseFieldText(given: string): FieldText {
  const colon = given.indexOf(':');
  if (colon < 0) throw new Wrong('has no colon', 'write name: value');
  const name = given.slice(0, colon).trim();
  const value = given.slice(colon + 1).trim();
  allowed(name, 'set');
  if (name.toLowerCase() === 'host' && !value.includes('$') && !AUTHORITY.test(value)) {
    throw new Wrong('sets Host to what is no host', 'write Host: name or Host: name:port');
  }
  compileTemplate(value);
  return { name, value };
}

/** Removes, then sets, then adds. Null when there is nothing to do. Without `names` it is only looked at. @throws Wrong */
export function compileFieldEdits(settings: EditSettings, names?: Names): FieldEdits | null {
  const { set, add, remove, reverseProxy } = settings;
  const removed = remove.map((name) => name.toLowerCase());
  const own: FieldText[] = reverseProxy ? [{ name: 'X-Real-IP', value: '$client_ip' }] : [];
  const edits: Edit[] = [];
  for (const { name, value } of [...own, ...set]) edits.push(editOf('set', name, value, names));
  for (const { name, value } of add) {
    const edit = editOf('add', name, value, names);
    if (edit.lower === 'host') throw new Wrong('adds a second Host', 'use proxy_set_headers', `${name}: ${value}`);
    // A retry would add it once more.
    if (edit.value.isLate) throw new Wrong('adds $upstream_addr', 'use proxy_set_headers, which every attempt sets anew', `${name}: ${value}`);
    edits.push(edit);
  }
  return removed.length === 0 && edits.length === 0 ? null : new Edits(removed, edits, reverseProxy);
}

/** One header to set or to add. */
interface Edit {
  readonly how: 'set' | 'add';
  readonly lower: string;
  /** `Name: `. */
  readonly start: string;
  readonly value: Template;
  /** The whole line, when nothing of it depends on the request. */
  readonly line: string | null;
}

class Edits implements FieldEdits {
  readonly hasLate: boolean;
  readonly #removed: readonly string[];
  readonly #edits: readonly Edit[];
  readonly #late: readonly Edit[];
  /** Scratch of apply(). */
  readonly #values: string[];
  /** X-Forwarded-Port, unless a trusted proxy has said it. */
  readonly #port: boolean;

  constructor(removed: readonly string[], edits: readonly Edit[], port: boolean) {
    this.#removed = removed;
    this.#edits = edits.filter(({ value }) => !value.isLate);
    this.#late = edits.filter(({ value }) => value.isLate);
    this.#values = this.#edits.map(() => '');
    this.hasLate = this.#late.length > 0;
    this.#port = port;
  }

  apply(head: RequestHead, scope: Scope): void {
    // Values are about the request as it came: a header may be taken out and live on under another name.
    const edits = this.#edits;
    const values = this.#values;
    for (let i = 0; i < edits.length; i++) values[i] = edits[i]!.value.render(scope);
    const removed = this.#removed;
    for (let i = 0; i < removed.length; i++) drop(head, removed[i]!);
    if (this.#port && !head.has(X_FORWARDED_PORT)) head.tail += `X-Forwarded-Port: ${head.peer.localPort}\r\n`;
    for (let i = 0; i < edits.length; i++) edit(edits[i]!, values[i]!, head);
  }

  applyLate(head: RequestHead, scope: Scope): void {
    const late = this.#late;
    for (let i = 0; i < late.length; i++) edit(late[i]!, late[i]!.value.render(scope), head);
  }
}

/** A value that comes out empty is not sent, as with nginx. */
function edit({ how, lower, start, value, line }: Edit, text: string, head: RequestHead): void {
  if (lower === 'host') {
    // What is written has been looked at when it was read; what a request brings along is no host until it is seen to be one.
    if (value.constant !== null || AUTHORITY.test(text)) head.newAuthority = text;
    return;
  }
  if (how === 'set') drop(head, lower);
  if (line !== null) head.tail += line;
  else if (text !== '') head.tail += `${start}${text}\r\n`;
}

/** Head.removeName(), which takes the added fields apart: only when it must. */
function drop(head: RequestHead, lower: string): void {
  if (isInTail(head.tail, lower)) head.removeName(lower);
  else {
    const id = idOfName(lower);
    if (id === 0) head.removeName(lower);
    else head.remove(id);
  }
}

function isInTail(tail: string, lower: string): boolean {
  for (let at = 0; at < tail.length; at = tail.indexOf('\n', at) + 1) {
    if (tail.charCodeAt(at + lower.length) === COLON && tail.slice(at, at + lower.length).toLowerCase() === lower) return true;
  }
  return false;
}

const COLON = 58;
const AUTHORITY = /^(?:\[[\da-fA-F:.]+\]|[-._~A-Za-z\d]+)(?::\d{1,5})?$/;

function editOf(how: 'set' | 'add', name: string, value: string, names: Names | undefined): Edit {
  const template = compileTemplate(value, names);
  const { constant } = template;
  if (names !== undefined && constant !== null && name.toLowerCase() === 'host' && !AUTHORITY.test(constant)) {
    throw new Wrong(`sets Host to ${JSON.stringify(constant)}, which is no host`, 'write Host: name or Host: name:port', `${name}: ${value}`);
  }
  return { how, lower: name.toLowerCase(), start: `${name}: `, value: template, line: constant === null ? null : `${name}: ${constant}\r\n` };
}

/** Framing and what is about one connection: whoever writes a request to the wire decides on them, and two opinions are request smuggling. */
const FORBIDDEN: ReadonlyMap<string, string> = new Map([
  ['content-length', 'it says how the message is framed, and follows the body by itself'],
  ['transfer-encoding', 'it says how the message is framed, and follows the body by itself'],
  ['trailer', 'it says how the message is framed'],
  ['connection', 'it is about one connection only'],
  ['keep-alive', 'it is about one connection only'],
  ['proxy-connection', 'it is about one connection only'],
  ['te', 'it is about one connection only'],
  ['upgrade', 'the key upgrades says what may be upgraded to'],
  ['http2-settings', 'it is about one connection only'],
  ['expect', 'the client is answered before the request is sent on'],
  ['via', 'requests that go in circles are noticed by it'],
]);

function allowed(name: string, how: 'set' | 'removed'): void {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    throw new Wrong(
      'has a name that no header has',
      how === 'set' ? 'write name: value; names have letters, digits and dashes' : 'names have letters, digits and dashes',
      name,
    );
  }
  const lower = name.toLowerCase();
  const why = FORBIDDEN.get(lower);
  if (why !== undefined) throw new Wrong(`names ${name}, which may not be ${how}`, `leave it out: ${why}`, name);
  if (how === 'removed' && idOfName(lower) === HOST)
    throw new Wrong('names Host, which every request has', 'set another with proxy_set_headers', name);
}
