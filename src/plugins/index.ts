import type { PluginDefinition } from '../proxy/plugin.ts';
import { requestIdPlugin } from './request-id.ts';

/** All plugins that come with Windlass. */
export const plugins: readonly PluginDefinition[] = [requestIdPlugin as unknown as PluginDefinition];
