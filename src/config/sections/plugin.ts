import { choice, text } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import type { Place } from '../text-file.ts';

export const PLUGIN_STEPS = ['early_request', 'request', 'proxy_upstream', 'upstream_response', 'response'] as const;
export type PluginStep = (typeof PLUGIN_STEPS)[number];

/** What every plugin has, section [plugins.NAME]; its other keys depend on its category. */
export const pluginTable = {
  category: setting({ kind: text('NAME', 'name of a plugin'), group: 'Plugin', help: 'which plugin it is', hint: 'such as category = "basic_auth"' }),
  step: setting<PluginStep | null>({
    kind: choice(PLUGIN_STEPS),
    group: 'Plugin',
    help: 'when it is asked',
    fallback: null,
    fallbackText: "the plugin's own",
  }),
} as const;

/** A plugin as it stands in the file: nobody has judged its own keys yet. */
export interface PluginSettings {
  readonly name: string;
  readonly category: string;
  readonly step: PluginStep | null;
  readonly place: Place;
  /** By key in snake_case. */
  readonly options: ReadonlyMap<string, { readonly key: string; readonly value: unknown; readonly place: Place }>;
  /** Equal for equal settings. */
  readonly fingerprint: string;
}

/** Plugins of Pingap that need no section. */
export const BUILT_IN_PLUGINS: readonly string[] = [
  'pingap:compression',
  'pingap:compressionUpstream',
  'pingap:ping',
  'pingap:stats',
  'pingap:requestId',
  'pingap:acceptEncodingAdjustment',
];
