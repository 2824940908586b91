import { choice } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';

/** Settings of `completion`. */
export const completionTable = {
  shell: setting<'bash' | 'zsh' | 'fish'>({
    kind: choice(['bash', 'zsh', 'fish']),
    group: 'Which one',
    help: 'for which shell; may stand without its flag',
    hint: 'windlass completion bash',
    inFile: false,
  }),
} as const;
