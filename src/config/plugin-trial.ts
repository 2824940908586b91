import type { Log } from '../observe/log.ts';
import { Registry } from '../observe/metrics.ts';
import type { Announced } from '../proxy/plugin.ts';
import { Wrong } from '../schema/wrong.ts';
import { systemClock } from '../std/clock.ts';
import type { PluginItem } from './plugins.ts';
import type { Report } from './report.ts';
import type { Tree } from './tree.ts';

/** Makes every plugin as a start would, and gives it up again: some options only show together, or when a folder is looked for, that they cannot be used. */
export async function tryPlugins(plugins: readonly PluginItem[], tree: Tree, report: Report): Promise<void> {
  const metrics = new Registry();
  for (const { name, definition, step, values } of plugins) {
    const { place, subject } = tree.named.get('plugins')!.get(name)!;
    const log = listening((message) => report.warn(place, subject, message));
    try {
      const plugin = await definition.create(values, { name, step, log, clock: systemClock, metrics, announced: NOBODY });
      await plugin.close?.();
    } catch (error) {
      report.error(
        place,
        subject,
        error instanceof Wrong ? `${error.message}; ${error.fix}` : `cannot be made: ${(error as Error).message.split('\n')[0]}`,
      );
    }
  }
}

/** No agent is here. */
const NOBODY: Announced = { values: () => [], knows: () => false };

/** Only warnings matter when nothing runs. */
function listening(heard: (message: string) => void): Log {
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: (_fields, message) => heard(message),
    error: (_fields, message) => heard(message),
    child: () => log,
  };
  return log;
}
