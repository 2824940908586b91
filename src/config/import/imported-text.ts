import { dirname, resolve } from 'node:path';
import type { ImportConfig } from '../../admin/model.ts';
import { importPiTable } from '../grpc-proxy.ts';
import { importPingapTexts } from './pingap.ts';
import { piToml } from './pi.ts';
import { importSlime } from './slime.ts';
import { readPiFile } from '../pi-file.ts';
import { TextFile } from '../text-file.ts';

/** A text of somebody's, as our TOML. */
export interface ImportedText {
  readonly toml: string;
  /** What was left out or cannot be obeyed, one line each. */
  readonly notes: readonly string[];
  /** It is no whole configuration: its sections come beside those that are there. */
  readonly isPart: boolean;
}

/** `source`: the configuration that it is to become; relative paths start there. @throws SettingsError when it cannot be read at all */
export async function importedText({ text, format }: Pick<ImportConfig, 'text' | 'format'>, source: string): Promise<ImportedText> {
  const read = (): string => text;
  switch (format) {
    case 'toml':
      return { toml: text, notes: [], isPart: false };
    case 'pingap': {
      const { toml, notes } = await importPingapTexts([new TextFile('pingap.toml', dirname(resolve(source)), text)]);
      return { toml, notes, isPart: false };
    }
    case 'slime': {
      const { toml, notes } = importSlime('slime.yml', read);
      return { toml, notes, isPart: true };
    }
    case 'pi': {
      const port = importPiTable.proxyServerPort.fallback!;
      return { toml: piToml(readPiFile('pi.json', read), { source: 'pi.json', address: { host: '::', port } }), notes: [], isPart: false };
    }
  }
}
