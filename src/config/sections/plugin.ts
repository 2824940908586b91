import { choice, text } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import type { PluginStep } from '../../proxy/plugin.ts';

export const PLUGIN_STEPS = ['early_request', 'request', 'proxy_upstream', 'upstream_response', 'response'] as const satisfies readonly PluginStep[];

/** What every plugin has, section [plugins.NAME]; its other keys depend on its category. */
export const pluginTable = {
  category: setting<string | null>({
    kind: text('NAME', 'name of a plugin'),
    group: 'Plugin',
    help: 'which plugin it is',
    fallback: null,
    fallbackText: 'the one of module',
  }),
  module: setting<string | null>({
    kind: text('PATH', 'path of a file, or name of a package'),
    group: 'Plugin',
    help: "a plugin of your own: a file's path from this folder, or a package installed there; its default export is the plugin",
    fallback: null,
    fallbackText: 'one that comes with Windlass',
  }),
  step: setting<PluginStep | null>({
    kind: choice(PLUGIN_STEPS),
    group: 'Plugin',
    help: "when it is asked, where a plugin leaves the choice (Pingap's word); the order is that of the location's list",
    fallback: null,
    fallbackText: "the plugin's own",
  }),
} as const;

/** What `grpc_web = true` of a location puts before its plugins. */
export const GRPC_WEB = 'pingap:grpcWeb';

/** Plugins of Pingap that need no section, as settings of ours. */
export const BUILT_IN_PLUGINS: ReadonlyMap<string, Readonly<Record<string, unknown>>> = new Map<string, Readonly<Record<string, unknown>>>([
  ['pingap:compression', { category: 'compression', gzip_level: 6, br_level: 6, zstd_level: 5 }],
  ['pingap:compressionUpstream', { category: 'compression', gzip_level: 6, br_level: 6, zstd_level: 5, mode: 'upstream' }],
  ['pingap:ping', { category: 'ping', path: '/ping' }],
  ['pingap:stats', { category: 'stats', path: '/stats' }],
  ['pingap:requestId', { category: 'request_id' }],
  [GRPC_WEB, { category: 'grpc_web' }],
  ['pingap:acceptEncodingAdjustment', { category: 'accept_encoding', encodings: 'zstd, br, gzip', only_one_encoding: true }],
]);
