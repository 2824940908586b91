import picocolors from 'picocolors';
import type { World } from './world.ts';

/** Ways to set off a text that has been made plain. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

/** Colours where somebody looks: on a terminal, unless NO_COLOR or TERM=dumb says otherwise. */
export function styleFor({ stdout, env }: Pick<World, 'stdout' | 'env'>): Style {
  const { NO_COLOR: none = '', TERM: kind } = env;
  return picocolors.createColors(stdout.isTTY === true && none === '' && kind !== 'dumb');
}
