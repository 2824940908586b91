import { path } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';

/** Settings of `import pingap` and `import slime`. */
export const importTable = {
  path: setting({ kind: path(), group: 'To start', help: 'the file or folder to read; may stand without its flag', hint: 'name it', inFile: false }),
} as const;
