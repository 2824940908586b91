import type { Setting } from '../schema/setting.ts';
import { Wrong } from '../schema/wrong.ts';
import type { ReadText } from './file.ts';
import { configLimits } from './limits.ts';

/** The value of a secret setting whose file is named. @throws Wrong */
export function readSecretFile(setting: Setting<unknown>, path: string, readText: ReadText): unknown {
  let text: string;
  try {
    text = readText(path, configLimits.secretFileBytes);
  } catch (error) {
    throw new Wrong((error as Error).message, 'give the path of a file that holds the secret');
  }
  const lines = text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0) throw new Wrong('holds nothing', 'write the secret into it');
  if (setting.secret === 'line' && lines.length > 1) throw new Wrong(`holds ${lines.length} lines`, 'it must hold one');
  return setting.kind.parse(lines);
}
