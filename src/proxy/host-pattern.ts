import { domainToASCII } from 'node:url';
import { isHostName } from '../schema/host.ts';
import { type Kind, list, scalar } from '../schema/kind.ts';
import { compilePattern, type Pattern } from '../schema/pattern.ts';
import { Wrong } from '../schema/wrong.ts';

/** Which hosts a location takes. */
export type HostPattern =
  | { readonly form: 'exact'; readonly text: string; readonly value: string }
  /** `value` is `.example.com`: every name below it, at any depth, but not itself. */
  | { readonly form: 'below'; readonly text: string; readonly value: string }
  | { readonly form: 'regex'; readonly text: string; readonly pattern: Pattern };

/** All hosts of a location; one that fits is enough. */
export interface Hosts {
  /** As written: its length counts in the location's weight. */
  readonly text: string;
  readonly patterns: readonly HostPattern[];
}

/** Several hosts: separated by commas, or a list (where a regular expression may hold commas). */
export function hosts(): Kind<Hosts> {
  const one = scalar('HOST', 'host such as example.com, *.example.com (all below it) or ~^(?P<tenant>[a-z]+)\\.example\\.com$', parseHostPattern, {
    format: (host) => host.text,
  });
  const several = list(one);
  return {
    ...several,
    parse: (texts) => ({ text: texts.join(','), patterns: splitting(texts, () => several.parse(texts)) }),
    fromToml: (value, folder) => {
      if (!Array.isArray(value)) return { text: String(value), patterns: splitting([String(value)], () => several.fromToml(value, folder)) };
      if (value.length === 0) throw new Wrong('is empty', 'give at least one host, or leave it out for every host');
      return { text: value.join(','), patterns: several.fromToml(value, folder) };
    },
    format: (value) => several.format(value.patterns),
  };
}

/** The commas of a regular expression look like those between hosts. */
function splitting<T>(texts: readonly string[], read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Wrong) || !texts.some((text) => text.includes('~') && text.includes(','))) throw error;
    throw new Wrong(error.message, `${error.fix}; a regular expression with a comma in it needs a list: host = ["~…"]`, error.part);
  }
}

/** @throws Wrong */
export function parseHostPattern(given: string): HostPattern {
  const text = given.trim();
  if (text.startsWith('~')) {
    const source = text.slice(1).trim();
    if (source === '') throw new Wrong('has no pattern behind the ~', 'write a regular expression such as ~^api\\.');
    return { form: 'regex', text, pattern: compilePattern(source, true) };
  }
  if (text === '*') throw new Wrong('is every host', 'leave host out');
  const below = text.startsWith('*.');
  const name = below ? text.slice(2) : text;
  if (name.includes('*'))
    throw new Wrong('has a * that is not its first label', 'write *.example.com, or a regular expression: ~^api-.*\\.example\\.com$');
  if (/^\[?[\da-f:.]*:[\da-f:.]*:[\da-f:.]*\]?$/i.test(name)) {
    const value = canonicalV6(name.startsWith('[') ? name : `[${name}]`);
    if (value === null || below) throw new Wrong('is no IPv6 address', 'write it as [2001:db8::1]');
    return { form: 'exact', text, value };
  }
  if (/:\d*$/.test(name)) throw new Wrong('has a port, and hosts are matched without it', `write ${text.replace(/:\d*$/, '')}`);
  const value = withoutDot(/[^\x21-\x7e]/.test(name) ? domainToASCII(name) : name.toLowerCase());
  if (!isHostName(value)) {
    throw new Wrong('is no host', 'write a name such as example.com, *.example.com, an address, or ~ and a regular expression');
  }
  return below ? { form: 'below', text, value: `.${value}` } : { form: 'exact', text, value };
}

/** The host that a request names, as it is matched: lower case, without port and final dot, IPv6 addresses in one spelling and in brackets. */
export function hostOf(authority: string): string {
  if (authority.startsWith('[')) {
    const literal = authority.slice(0, authority.indexOf(']') + 1).toLowerCase();
    return canonicalV6(literal) ?? literal;
  }
  const colon = authority.indexOf(':');
  return withoutDot((colon < 0 ? authority : authority.slice(0, colon)).toLowerCase());
}

export function takesHost(pattern: HostPattern, host: string): boolean {
  switch (pattern.form) {
    case 'exact':
      return host === pattern.value;
    case 'below':
      return host.endsWith(pattern.value);
    case 'regex':
      return pattern.pattern.test(host);
  }
}

function withoutDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

function canonicalV6(literal: string): string | null {
  const url = `http://${literal}`;
  return URL.canParse(url) ? new URL(url).hostname : null;
}
