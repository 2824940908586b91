import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Authority } from './authority.ts';
import { makeCertificate } from './certificate.ts';
import { certLimits } from './limits.ts';
import { makeKey } from './signing.ts';

/** Our own authority, for development. */
export interface DevelopmentAuthority {
  readonly authority: Authority;
  /** Its certificate, for clients that are to believe it. */
  readonly certPath: string;
  /** It was made just now. */
  readonly isNew: boolean;
}

/**
 * The authority kept in a folder below `stateDir`; made when there is none, or when it has expired. Its key can be read by its owner alone.
 * @throws Error whose message is for the operator
 */
export async function openDevelopmentAuthority(stateDir: string, wall: () => number): Promise<DevelopmentAuthority> {
  const folder = join(stateDir, 'development-ca');
  const certPath = join(folder, 'ca.pem');
  const keyPath = join(folder, 'ca.key');
  let isNew = false;
  for (;;) {
    const pair = await readPair(certPath, keyPath);
    if (pair !== null) {
      try {
        const authority = new Authority(pair.cert, pair.key, wall);
        if (Date.parse(authority.certificate.validTo) > wall()) return { authority, certPath, isNew };
      } catch (error) {
        throw new Error(`${folder} cannot be used: ca.pem ${(error as Error).message}; remove that folder for a new authority`, { cause: error });
      }
      await rm(folder, { recursive: true });
    }
    isNew = await make(stateDir, folder, wall);
  }
}

async function readPair(certPath: string, keyPath: string): Promise<{ cert: string; key: string } | null> {
  try {
    return { cert: await readFile(certPath, 'latin1'), key: await readFile(keyPath, 'latin1') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(
      `${certPath} and its key cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'}); give another folder with --state-dir`,
      { cause: error },
    );
  }
}

/** Both files or none, also when another process is at it or this one dies. @returns whether it is ours that lies there now */
async function make(stateDir: string, folder: string, wall: () => number): Promise<boolean> {
  const key = await makeKey('ecdsa');
  const notBeforeMs = wall() - certLimits.clockLeewayMs;
  const cert = makeCertificate({
    names: [`Windlass development CA on ${hostname()}`.slice(0, 64)],
    isAuthority: true,
    key,
    notBeforeMs,
    notAfterMs: notBeforeMs + certLimits.authorityMs,
    issuer: null,
  });
  const beside = `${folder}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await mkdir(beside, { mode: 0o755 });
    await write(join(beside, 'ca.key'), key.export({ type: 'pkcs8', format: 'pem' }) as string, 0o600);
    await write(join(beside, 'ca.pem'), cert, 0o644);
    await rename(beside, folder);
    return true;
  } catch (error) {
    await rm(beside, { recursive: true, force: true }).catch(() => {});
    const { code } = error as NodeJS.ErrnoException;
    // Another process was quicker.
    if (code === 'ENOTEMPTY' || code === 'EEXIST') {
      if ((await readPair(join(folder, 'ca.pem'), join(folder, 'ca.key'))) !== null) return false;
    }
    throw new Error(`${folder} cannot be made (${code ?? (error as Error).message}); give another folder with --state-dir`, { cause: error });
  }
}

async function write(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}
