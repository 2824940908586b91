import { text } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';

/** Settings of `plugins`. */
export const pluginsTable = {
  plugin: setting<string | null>({
    kind: text('NAME', 'category of a plugin'),
    group: 'Which',
    help: 'the plugin to show',
    fallback: null,
    fallbackText: 'a list of all',
    inFile: false,
  }),
} as const;
