import { register } from 'node:module';

/**
 * Whoever says `windlass/plugin` from now on gets that of this program, wherever the file lies that says it: a plugin beside a configuration need not install
 * anything, and there is one copy of the kinds. Loading this file does it, and a file is loaded once in a process.
 */
const door = new URL(import.meta.url.endsWith('.ts') ? '../plugin.ts' : '../plugin.js', import.meta.url).href;
const hooks = `export const resolve = (specifier, context, next) =>
  specifier === 'windlass/plugin' ? { url: ${JSON.stringify(door)}, shortCircuit: true } : next(specifier, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
