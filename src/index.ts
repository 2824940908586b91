/**
 * The library: the same programs as the command line, inside another process.
 * Settings are what `windlass hub run --help` and its siblings describe, with units in their names.
 */
export { startHub } from './hub/hub.ts';
export { startProxy } from './hub/direct.ts';
export { startAgent, type RunningAgent } from './agent/process.ts';
export type { Running } from './hub/front.ts';
export type { Deps } from './hub/house.ts';
export type { AgentSettings, HubSettings, ProxySettings } from './config/settings.ts';
export { createLog, type Log } from './observe/log.ts';
