import type { RequestHead } from './head.ts';

/**
 * Resolves a target that is not plain: absolute form, `*`, dot segments, escapes. Routing and forwarding both use the result,
 * so no two parties ever see different paths (threat rows 24, 27, 28).
 * @returns null, or why the target is refused
 */
export function resolveTarget(head: RequestHead): string | null {
  let target = head.bytes.latin1Slice(head.targetStart, head.targetEnd);
  if (target === '*') return head.method === 'OPTIONS' ? null : 'the target * is for OPTIONS only';
  if (!target.startsWith('/')) {
    const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target);
    if (absolute === null) return 'the target is neither a path nor an http URL';
    const authority = absolute[1]!;
    if (!/^(\[[0-9a-fA-F:.]+\]|[-._~A-Za-z0-9]+)(:\d{0,5})?$/.test(authority)) return 'the URL in the request line names no valid host';
    // RFC 9112 3.2.2: the absolute form replaces Host.
    head.newAuthority = authority;
    target = absolute[2]!;
    if (!target.startsWith('/')) target = head.method === 'OPTIONS' && target === '' ? '*' : `/${target}`;
    head.newTarget = target;
    if (target === '*') return null;
  }
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  const resolved = resolvePath(path);
  if (resolved === null) return 'the path has a bad escape, a %00, or climbs above /';
  if (resolved !== path) head.newTarget = query < 0 ? resolved : resolved + target.slice(query);
  return null;
}

/**
 * A path with its dot segments resolved once, escaped ones included; untouched, byte for byte, when it has none.
 * `%2F` stays what it is and is no separator; `//` is kept.
 * @returns null for a bad escape, `%00`, or a path that climbs above `/`
 */
export function resolvePath(path: string): string | null {
  for (let i = path.indexOf('%'); i >= 0; i = path.indexOf('%', i + 1)) {
    const escape = path.slice(i + 1, i + 3);
    if (!/^[0-9a-fA-F]{2}$/.test(escape) || escape === '00') return null;
  }
  if (!/\/(\.|%2e){1,2}(\/|$)/i.test(path)) return path;
  const out: string[] = [];
  const segments = path.split('/').slice(1);
  segments.forEach((segment, i) => {
    const dots = segment.replace(/%2e/gi, '.');
    const last = i === segments.length - 1;
    if (dots === '..') {
      if (out.length === 0) out.push('\0');
      else out.pop();
      if (last) out.push('');
    } else if (dots === '.') {
      if (last) out.push('');
    } else out.push(segment);
  });
  if (out.includes('\0')) return null;
  return `/${out.join('/')}`;
}
