import { gatewayOfText, type LoadedGateway } from './gateway.ts';
import { type PiWishes, piToml } from './import/pi.ts';
import { type PiFile, readPiFile } from './pi-file.ts';
import type { ReadText } from './file.ts';
import type { CommonSettings } from './settings.ts';

/** A gateway made of a file of the PI gRPC proxy. */
export interface PiGateway extends LoadedGateway {
  readonly file: PiFile;
}

/** Reads the file and makes a gateway of it, the same that `import pi` prints. `common`: what its process goes by. @throws SettingsError */
export async function loadPiGateway(wishes: PiWishes, readText: ReadText, common: CommonSettings): Promise<PiGateway> {
  const file = readPiFile(wishes.source, readText);
  const loaded = await gatewayOfText(piToml(file, wishes), wishes.source);
  const { settings } = loaded;
  return { ...loaded, file, settings: { ...settings, basic: { ...settings.basic, ...common } } };
}
