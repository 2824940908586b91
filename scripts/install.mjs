import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Installs what the lock file names, unless exactly that is there already: then nothing is asked of the network. @returns false when it failed */
export function install(root) {
  if (installed(root)) return true;
  console.log('windlass: installing dependencies (npm ci)');
  const npm = process.env['npm_execpath'];
  const args = ['ci', '--include=dev', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const options = { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] };
  const done =
    npm !== undefined && /\.[cm]?js$/.test(npm)
      ? spawnSync(process.execPath, [npm, ...args], options)
      : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' });
  if (done.status === 0) return true;
  console.error('windlass: npm ci failed; the first start needs the network (or a filled npm cache)');
  return false;
}

/** Does node_modules hold every package of the lock file, in its version? Packages for other systems are optional and may be absent. */
function installed(root) {
  const wanted = packages(join(root, 'package-lock.json'));
  const present = packages(join(root, 'node_modules', '.package-lock.json'));
  if (wanted === null || present === null) return false;
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = present[path];
    if (found === undefined ? optional !== true : found.version !== version) return false;
  }
  return true;
}

function packages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}
