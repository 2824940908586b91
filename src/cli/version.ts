import { readFileSync } from 'node:fs';
import type { Invocation } from './command.ts';

export async function run({ args, world }: Invocation): Promise<number> {
  const { name, version } = packageInfo();
  const { node } = process.versions;
  const { platform, arch } = process;
  world.stdout.write(args.switches.has('json') ? `${JSON.stringify({ name, version, node, platform, arch })}\n` : `${name} ${version}\n`);
  return 0;
}

/** Of the package that this file belongs to (src/ and dist/ lie equally deep). */
export function packageInfo(): { name: string; version: string } {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { name: string; version: string };
}
