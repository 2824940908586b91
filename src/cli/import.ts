import type { Imported } from '../config/import/pingap.ts';
import { importTable } from '../config/import/import.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import type { World } from './world.ts';

/** `import pingap`: exit code 0 when the printed file can be used as it is, else 1. */
export async function importPingap(invocation: Invocation): Promise<number> {
  const { values } = await settingsOf(importTable, invocation);
  const imported = await (await import('../config/import/pingap.ts')).importPingap(values.path);
  return show(imported, invocation.world);
}

/** `import slime`. */
export async function importSlime(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { values } = await settingsOf(importTable, invocation);
  const { importSlime: read } = await import('../config/import/slime.ts');
  return show(
    read(values.path, (path, maxBytes) => world.readText(path, maxBytes)),
    world,
  );
}

/** `import pi`. */
export async function importPi(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { importPiTable } = await import('../config/grpc-proxy.ts');
  const { values } = await settingsOf(importPiTable, invocation);
  const { readPiFile } = await import('../config/pi-file.ts');
  const { piToml } = await import('../config/import/pi.ts');
  const file = readPiFile(values.path, (path, maxBytes) => world.readText(path, maxBytes));
  world.stdout.write(piToml(file, { source: values.path, address: { host: '::', port: values.proxyServerPort } }));
  return 0;
}

/** The file goes to standard output, what there is to say of it to standard error. */
function show({ toml, notes, usable }: Imported, world: World): number {
  world.stdout.write(toml);
  for (const note of notes) world.stderr.write(`windlass: note: ${note}\n`);
  return usable ? 0 : 1;
}
