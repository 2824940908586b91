/** What somebody has typed as a URL, as the routing test asks it; null = it is none. A path alone gets a host for examples. */
export function requestOf(url: string): { readonly host: string; readonly path: string } | null {
  const text = url.trim();
  if (text === '' || /\s/.test(text)) return null;
  if (text.startsWith('/')) return { host: 'example.com', path: text };
  const [, authority, path] = /^(?:[a-z][a-z\d+.-]*:\/\/)?(?:[^@/?#]*@)?([^/?#]+)([^#]*)/i.exec(text) ?? [];
  if (authority === undefined || !/^(?:\[[\da-f:.]+\]|[^\s[\]:]+)(?::\d{1,5})?$/i.test(authority)) return null;
  return { host: authority, path: path === '' || path === undefined ? '/' : path.startsWith('/') ? path : `/${path}` };
}

/** Lines of `Name: value`; what is no header is left out. */
export function headersOf(text: string): readonly (readonly [string, string])[] {
  return text.split('\n').flatMap((line) => {
    const [, name, value] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, value!] as const];
  });
}
