import { formatAddress, parseAddress } from '../schema/address.ts';

/** Where a program of this machine is asked by operators: `http://HOST:PORT`, as WINDLASS_ADMIN_ADDR says, or its default. */
export function localAdminUrl(env: Readonly<Record<string, string | undefined>>): string {
  const adminAddr = env['WINDLASS_ADMIN_ADDR'] ?? '';
  let { host, port } = DEFAULT;
  try {
    if (adminAddr !== '') ({ host, port } = parseAddress(adminAddr, DEFAULT.host));
  } catch {
    // That program will have complained of it.
  }
  const asked = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${formatAddress({ host: asked, port })}`;
}

const DEFAULT = { host: '127.0.0.1', port: 9080 };
