import { configLimits } from './limits.ts';
import { readText } from './read-text.ts';

/** Ids (or names) of revoked tokens in a file: one a line, from # on a remark. @throws an Error whose message ends the sentence "PATH …" */
export function readRevoked(path: string): readonly string[] {
  const lines = readText(path, configLimits.revokedFileBytes).split('\n');
  return lines.map((line) => line.replace(/(^|\s)#.*$/, '').trim()).filter((line) => line !== '');
}
