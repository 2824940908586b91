import type { PluginRequest } from '../proxy/plugin.ts';
import { fieldText } from './denial.ts';

/** Where in a request a key or token is. */
export interface CredentialPlace {
  /** As field text (a character per byte of its UTF-8); undefined when there is none. */
  read(request: PluginRequest): string | undefined;
  /** Takes it out, and leaves the rest as it is, byte for byte. */
  hide(request: PluginRequest): void;
}

export function headerPlace(name: string): CredentialPlace {
  const lower = name.toLowerCase();
  return {
    read: (request) => request.header(lower),
    hide: (request) => request.removeHeader(lower),
  };
}

export function queryPlace(name: string): CredentialPlace {
  return {
    read: (request) => {
      const value = request.parameter(name);
      return value === undefined ? undefined : fieldText(value);
    },
    hide: (request) => {
      const without = withoutParameter(request.target, name);
      if (without !== request.target) request.setTarget(without);
    },
  };
}

export function cookiePlace(name: string): CredentialPlace {
  return {
    read: (request) => request.cookie(name),
    hide(request) {
      const fields: string[] = [];
      for (const [field, value] of request.headers()) if (field === 'cookie') fields.push(value);
      const left = fields.map((field) => withoutCookie(field, name));
      if (left.every((field, i) => field === fields[i])) return;
      request.removeHeader('cookie');
      for (const field of left) if (field !== '') request.addHeader('cookie', field);
    },
  };
}

/** A target without its parameters of that name (decoded, as servers read it). The rest stays byte for byte. */
export function withoutParameter(target: string, name: string): string {
  const question = target.indexOf('?');
  if (question < 0) return target;
  const all = target.slice(question + 1).split('&');
  const left = all.filter((piece) => new URLSearchParams(`?${piece}`).keys().next().value !== name);
  if (left.length === all.length) return target;
  return left.length === 0 ? target.slice(0, question) : `${target.slice(0, question)}?${left.join('&')}`;
}

/** A Cookie field without the cookies of that name; '' when nothing is left. The rest stays byte for byte. */
export function withoutCookie(field: string, name: string): string {
  // Separators are kept with what stands before them.
  const pieces = field.match(/[^;,]*(?:[;,][ \t]*|$)/g)!.filter((piece) => piece !== '');
  const left = pieces.filter((piece) => {
    const at = piece.indexOf('=');
    return at < 0 || piece.slice(0, at).trim() !== name;
  });
  if (left.length === pieces.length) return field;
  // What was last has no separator; what is last now shall have none either.
  const text = left.join('');
  return left.at(-1) === pieces.at(-1) ? text : text.replace(/[;,][ \t]*$/, '');
}
