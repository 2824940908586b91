// HOT: render() runs per request for every header with a variable in it.
import { Buffer } from 'node:buffer';
import type { Notes } from '../http/exchange.ts';
import { REMOVED, type RequestHead, STRIDE } from '../http/head.ts';
import { VALUE, X_REQUEST_ID } from '../http/names.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Captures } from '../upstream/upstream.ts';
import { hostOf } from './host-pattern.ts';

/** What variables are about: one request, as far as it has come. */
export interface Scope {
  readonly head: RequestHead;
  readonly notes: Notes;
  readonly captures: Captures;
  readonly server: ServerFacts;
}

/** What is the same for all requests of a server. */
export interface ServerFacts {
  /** Of this machine. */
  readonly hostname: string;
  /** Where the server listens; `0.0.0.0` when it does so everywhere. */
  readonly address: string;
}

/** What is known at load of the names that a text may use. */
export interface Names {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What host, path and rewrite of the location capture. */
  readonly captures: ReadonlySet<string>;
}

/** Text with variables in it, read once. What it renders is safe for a field line: no CR, LF or other controls, Latin-1. */
export interface Template {
  /** The text when nothing of it depends on the request; else null. */
  readonly constant: string | null;
  /** It has `$upstream_addr` in it, which is known only when an endpoint has been chosen: render it then. */
  readonly isLate: boolean;
  /** What a request does not have ('$http_x' without such a header) is the empty text. */
  render(scope: Scope): string;
}

const NOTHING_KNOWN: Names = { env: {}, captures: new Set() };

/**
 * Reads `$name` and `${name}`, anywhere in the text; `$$` is a dollar. A name is, in this order: one of ours ($host …), a header ($http_NAME), cookie
 * ($cookie_NAME) or query parameter ($arg_NAME) of the request, a capture, a variable of the environment at load. A name that is none of them
 * stays as it stands there.
 * @throws Wrong for control characters
 */
export function compileTemplate(text: string, names: Names = NOTHING_KNOWN): Template {
  const parts: (string | Variable)[] = [];
  let fixed = '';
  let isLate = false;
  let from = 0;
  for (const match of text.matchAll(/\$(?:(\$)|(\d+|[A-Za-z_]\w*)|\{(\w+)\})/g)) {
    const [all, dollar, bare, braced] = match;
    fixed += text.slice(from, match.index);
    from = match.index + all.length;
    const name = bare ?? braced;
    if (dollar !== undefined || name === undefined) {
      fixed += '$';
      continue;
    }
    const variable = variableOf(name, names);
    if (variable === null) {
      const value = Object.hasOwn(names.env, name) ? names.env[name] : undefined;
      if (value !== undefined && CONTROLS.test(value))
        throw new Wrong('has control characters in it', `mend the environment variable ${name}`, `$${name}`);
      fixed += value ?? all;
      continue;
    }
    if (name === LATE) isLate = true;
    if (fixed !== '') parts.push(latin1(fixed));
    fixed = '';
    parts.push(variable);
  }
  fixed += text.slice(from);
  if (CONTROLS.test(fixed)) throw new Wrong('has control characters in it', 'take out the line break or tab');
  if (fixed !== '') parts.push(latin1(fixed));
  if (parts.every((part) => typeof part === 'string')) return new Constant(parts.join(''));
  return new Mixed(parts, isLate);
}

/** Is the value of this name known only with the request? */
export function isVariable(name: string, captures: ReadonlySet<string>): boolean {
  return variableOf(name, { env: {}, captures }) !== null;
}

type Variable = (scope: Scope) => string;

class Constant implements Template {
  readonly constant: string;
  readonly isLate = false;

  constructor(text: string) {
    this.constant = text;
  }

  render(): string {
    return this.constant;
  }
}

class Mixed implements Template {
  readonly constant = null;
  readonly isLate: boolean;
  readonly #parts: readonly (string | Variable)[];

  constructor(parts: readonly (string | Variable)[], isLate: boolean) {
    this.#parts = parts;
    this.isLate = isLate;
  }

  render(scope: Scope): string {
    let text = '';
    const parts = this.#parts;
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!;
      text += typeof part === 'string' ? part : part(scope);
    }
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c > 255 || VALUE[c] === 0) return text.replace(UNSAFE, '');
    }
    return text;
  }
}

const LATE = 'upstream_addr';
// oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f]/;
// oxlint-disable-next-line no-control-regex -- control characters are what is being looked for
const UNSAFE = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/g;

const FIXED: ReadonlyMap<string, Variable> = new Map<string, Variable>([
  ['host', ({ head }) => hostOf(head.authority)],
  ['hostname', ({ server }) => server.hostname],
  ['scheme', ({ head }) => head.peer.scheme],
  ['remote_addr', ({ head }) => head.peer.address],
  ['remote_port', ({ head }) => String(head.peer.port)],
  ['client_ip', ({ head }) => head.client],
  ['server_addr', ({ server }) => server.address],
  ['server_port', ({ head }) => String(head.peer.localPort)],
  // What http/forwarded.ts says by now: a client's own word is gone unless it is a trusted proxy.
  ['proxy_add_x_forwarded_for', ({ head }) => head.get('x-forwarded-for') ?? head.peer.address],
  [LATE, ({ notes }) => notes.endpoint],
  ['request_id', ({ head }) => head.value(X_REQUEST_ID)],
  ['tls_version', ({ head }) => head.peer.tlsVersion],
  ['tls_client_subject', ({ head }) => head.peer.certificate?.subject ?? ''],
  ['tls_client_cn', ({ head }) => head.peer.certificate?.commonName ?? ''],
  ['tls_client_names', ({ head }) => head.peer.certificate?.names.join(', ') ?? ''],
  ['tls_client_issuer', ({ head }) => head.peer.certificate?.issuer ?? ''],
  ['tls_client_serial', ({ head }) => head.peer.certificate?.serial ?? ''],
  ['tls_client_fingerprint', ({ head }) => head.peer.certificate?.fingerprint ?? ''],
  // As a byte sequence of RFC 8941, which is what Client-Cert holds (RFC 9440 2.2).
  ['tls_client_cert', ({ head }) => (head.peer.certificate === null ? '' : `:${head.peer.certificate.base64}:`)],
]);

function variableOf(name: string, { captures }: Names): Variable | null {
  const fixed = FIXED.get(name);
  if (fixed !== undefined) return fixed;
  if (name.startsWith('http_') && name.length > 5) return headerOf(name.slice(5).replaceAll('_', '-').toLowerCase());
  if (name.startsWith('cookie_') && name.length > 7) return cookieOf(name.slice(7));
  if (name.startsWith('arg_') && name.length > 4) return argumentOf(name.slice(4));
  return captures.has(name) ? (scope) => scope.captures?.get(name) ?? '' : null;
}

function headerOf(name: string): Variable {
  if (name === 'host') return ({ head }) => head.authority;
  return ({ head }) => {
    const { fields, bytes } = head;
    for (let f = 0, last = head.count * STRIDE; f < last; f += STRIDE) {
      if ((fields[f + 4]! & REMOVED) === 0 && head.isNamed(f, name)) return bytes.latin1Slice(fields[f + 2]!, fields[f + 3]!);
    }
    return '';
  };
}

function cookieOf(name: string): Variable {
  const cookies = headerOf('cookie');
  return (scope) => {
    for (const pair of cookies(scope).split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
    return '';
  };
}

/** As it stands in the query: escapes stay escapes, so that it is safe wherever it is put. */
function argumentOf(name: string): Variable {
  return ({ head }) => {
    const { target } = head;
    const from = target.indexOf('?');
    if (from < 0) return '';
    for (const pair of target.slice(from + 1).split('&')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals) === name) return pair.slice(equals + 1);
    }
    return '';
  };
}

/** Bytes as the wire has them: what is beyond ASCII goes out as UTF-8. */
function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
