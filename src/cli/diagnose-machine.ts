import { statSync } from 'node:fs';
import net from 'node:net';
import { type Address, formatAddress } from '../schema/address.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

/** Least Node that is supported, and those lines that are for long. */
const NODE_MIN = [20, 19] as const;

/** Is this Node one of those that work, and that are looked after? */
export function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1]))
    return fail('node', `${version} is too old`, `install Node ${NODE_MIN.join('.')} or a newer one`);
  if (major % 2 === 1) return warn('node', `${version} is of a line that is looked after for a few months only`, 'for a server take an even one');
  return ok('node', `${version}`);
}

/** How many files and sockets may be open. `text`: /proc/self/limits; null where there is none. */
export function descriptorsFinding(text: string | null): Finding {
  const found = text === null ? null : /^Max open files\s+(\d+|unlimited)/m.exec(text)?.[1];
  if (found === null || found === undefined) return ok('files', 'this system does not say how many may be open');
  const limit = found === 'unlimited' ? Infinity : Number(found);
  if (limit < FEW)
    return warn(
      'files',
      `only ${found} files and sockets may be open at once: each request needs two`,
      'ulimit -n 65536 before the start, or LimitNOFILE=65536 in a systemd unit',
    );
  return ok('files', `${found} files and sockets may be open at once`);
}

const FEW = 4_096;

/** A file with a secret in it that others of this machine may read. */
export function secretFileFinding(about: string, path: string): Finding | null {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o007) === 0) return null;
    return warn(about, `${path} may be read by everybody on this machine`, `chmod 600 ${path}`);
  } catch {
    return null;
  }
}

/** Could we listen there? `isOurs`: asks whether it is one of us that does already; null = that could not be told. */
export async function portFinding(about: string, address: Address, isOurs: (address: Address) => Promise<boolean | null>): Promise<Finding> {
  const shown = formatAddress(address);
  if (address.port === 0) return ok(about, `${shown}: any free port`);
  const code = await listenError(address);
  switch (code) {
    case null:
      return ok(about, `${shown} is free`);
    case 'EADDRINUSE': {
      const whose = await isOurs(address);
      if (whose === true) return ok(about, `${shown} is in use by a running Windlass`);
      const who = `ss -ltnp 'sport = :${address.port}' names it`;
      if (whose === null)
        return warn(
          about,
          `${shown} is in use, perhaps by the Windlass that runs here`,
          `${who}; asked as the user it runs as, this tells by itself`,
        );
      return fail(about, `${shown} is in use by another program`, `${who}: stop it, or choose another port`);
    }
    case 'EACCES':
      return fail(
        about,
        `${shown} needs a privilege`,
        `choose a port from 1024 on, or give it once: sudo setcap cap_net_bind_service=+ep ${process.execPath}`,
      );
    case 'EADDRNOTAVAIL':
      return fail(about, `${shown} is no address of this machine`, 'listen on 0.0.0.0 for all of them');
    default:
      return fail(about, `${shown} cannot be listened on (${code})`, 'choose another address');
  }
}

function listenError({ host, port }: Address): Promise<string | null> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'unknown'));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
