/** For plugins of others: `import { definePlugin, setting, text } from 'windlass/plugin'`. */
export {
  definePlugin,
  slot,
  type Announced,
  type BodyOut,
  type BodySource,
  type BodyTransformer,
  type Plugin,
  type PluginContext,
  type PluginDefinition,
  type PluginExchange,
  type PluginFields,
  type PluginNotes,
  type PluginRequest,
  type PluginResponse,
  type QueueLabel,
  type Reply,
  type Slot,
  type TransformOut,
  type Verdict,
  type WholeReply,
} from './proxy/plugin.ts';
export { Failure, type FailureCode } from './http/failure.ts';
export { bytes, choice, cidrs, duration, integer, list, orOff, path, scalar, secrets, text, textLike, toggle, type Kind } from './schema/kind.ts';
export { compilePattern, type Found, type Pattern } from './schema/pattern.ts';
export { setting, type Setting, type Table, type Values } from './schema/setting.ts';
export { Wrong } from './schema/wrong.ts';
