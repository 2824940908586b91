import { VERSION } from '../observe/version.ts';
import { nearest } from '../schema/nearest.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Failure } from '../http/failure.ts';

/** What a page is written in. */
export type PageKind = 'html' | 'json';

/** Bytes of one template. Error pages are made whole in memory, once per failure. */
export const TEMPLATE_CHARS: number = 64 * 1024;

export interface ErrorTemplates {
  /** Templates for every status. */
  readonly general: readonly string[];
  /** Templates by `404`, `4xx` or `5xx`. */
  readonly byStatus: ReadonlyMap<string, readonly string[]>;
}

/** What a failure looks like to a client: templates of the operator, compiled once, and our own pages where there is none. */
export class ErrorPages {
  /** Our name in `Proxy-Status`. */
  readonly viaName: string;
  /** Does a template show the request's id? Then whoever makes an exchange keeps it. */
  readonly showsRequestId: boolean;
  readonly #general: Pair;
  readonly #byStatus = new Map<string, Pair>();

  /** @throws Wrong for a template that cannot be used; its part is the template's place */
  constructor(viaName: string, templates: ErrorTemplates = { general: [], byStatus: new Map() }) {
    this.viaName = viaName;
    this.#general = pairOf(templates.general, null);
    for (const [key, texts] of templates.byStatus) {
      if (!STATUS_KEY.test(key)) throw new Wrong('has a key that is no status', 'write the status (404), or 4xx or 5xx for all of that kind', key);
      this.#byStatus.set(key, pairOf(texts, key));
    }
    this.showsRequestId = [this.#general, ...this.#byStatus.values()].some((pair) =>
      [pair.html, pair.json].some((template) => template?.names.includes('request_id')),
    );
  }

  /** The template for this status and wish, the most particular first; null = our own page. */
  find(status: number, wish: PageKind | 'any'): Template | null {
    const { html, json } = this.#general;
    // Most gateways have no templates.
    if (html === null && json === null && this.#byStatus.size === 0) return null;
    for (const pair of [this.#byStatus.get(String(status)), this.#byStatus.get(`${Math.floor(status / 100)}xx`), this.#general]) {
      if (pair === undefined) continue;
      const found = wish === 'any' ? (pair.json ?? pair.html) : pair[wish];
      if (found !== null) return found;
    }
    return null;
  }
}

const STATUS_KEY = /^(?:[45]\d\d|[45]xx)$/;

interface Pair {
  readonly html: Template | null;
  readonly json: Template | null;
}

function pairOf(texts: readonly string[], part: string | null): Pair {
  let html: Template | null = null;
  let json: Template | null = null;
  for (const text of texts) {
    const template = compile(text, part);
    if ((template.kind === 'html' ? html : json) !== null)
      throw new Wrong(`has two ${template.kind.toUpperCase()} templates`, 'keep one of each kind (JSON begins with a brace, all else is HTML)', part);
    if (template.kind === 'html') html = template;
    else json = template;
  }
  return { html, json };
}

/** The names that may stand in `{{ }}`. */
export const PLACEHOLDERS = ['status', 'title', 'code', 'content', 'error_type', 'request_id', 'version'] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];

/** A page with holes. */
export interface Template {
  readonly kind: PageKind;
  /** Text, then a name, then text, and so on: one more text than names. */
  readonly texts: readonly string[];
  readonly names: readonly Placeholder[];
}

/** A template that begins with a brace is JSON, any other HTML. @throws Wrong */
export function compile(text: string, part: string | null = null): Template {
  if (text.length > TEMPLATE_CHARS)
    throw new Wrong('is too long', `the longest is ${TEMPLATE_CHARS} characters: keep images and styles elsewhere`, part);
  const kind: PageKind = /^\s*\{(?!\{)/.test(text) ? 'json' : 'html';
  const pieces = text.split(/\{\{\s*([\w-]+)\s*\}\}/);
  const texts = pieces.filter((_, i) => i % 2 === 0);
  const names = pieces.filter((_, i) => i % 2 === 1).map((name) => placeholder(name, part));
  const template: Template = { kind, texts, names };
  if (kind === 'json') checkJson(template, part);
  else checkHtml(template, part);
  return template;
}

function placeholder(name: string, part: string | null): Placeholder {
  const plain = name.replaceAll('-', '_');
  const found = PLACEHOLDERS.find((one) => one === plain);
  if (found !== undefined) return found;
  const near = nearest(plain, PLACEHOLDERS);
  const choices = PLACEHOLDERS.map((one) => `{{${one}}}`).join(', ');
  throw new Wrong(`has a placeholder {{${name}}} that is not known`, near === null ? `there are ${choices}` : `did you mean {{${near}}}?`, part);
}

function checkJson(template: Template, part: string | null): void {
  try {
    JSON.parse(filled(template, (name) => (name === 'status' ? '404' : 'x')));
  } catch {
    throw new Wrong('begins with a brace and is no JSON', 'check its commas, and put every placeholder but {{status}} between quotes', part);
  }
}

/** Escapes that are right in text and in quoted attributes are not right everywhere. */
function checkHtml(template: Template, part: string | null): void {
  let before = '';
  template.names.forEach((name, i) => {
    before += template.texts[i]!;
    const at = `{{${name}}}`;
    if (/<(script|style)\b(?:(?!<\/\1)[^])*$/i.test(before))
      throw new Wrong(`has ${at} inside a script or style`, 'put it into the text of the page: there what a client sent can do no harm', part);
    if (/<[a-z][^<>]*=\s*$/i.test(before)) throw new Wrong(`has ${at} as a value without quotes`, `write it as "${at}"`, part);
    before += 'x';
  });
}

/** The page for one failure, everything in it escaped for its kind. */
export function fill(template: Template, failure: Failure, status: number, title: string, requestId: string): string {
  const escape = template.kind === 'html' ? escapeHtml : escapeJson;
  return filled(template, (name) => {
    switch (name) {
      case 'status':
        return String(status);
      case 'title':
        return escape(title);
      case 'code':
        return failure.code;
      case 'content':
        return escape(failure.detail);
      case 'error_type':
        return failure.proxyStatus;
      case 'request_id':
        return escape(requestId);
      case 'version':
        return escape(VERSION);
    }
  });
}

function filled(template: Template, value: (name: Placeholder) => string): string {
  let out = template.texts[0]!;
  template.names.forEach((name, i) => (out += value(name) + template.texts[i + 1]!));
  return out;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'`]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Text for between the quotes of a JSON string; `<` too, since some look for HTML wherever they can. */
function escapeJson(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replaceAll('<', String.raw`\u003c`);
}
