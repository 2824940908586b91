/** The library: hubs and agents inside other programs. Settings are what `windlass hub run --help` and its siblings describe, with units in their names. */
export { embedHub as startHub, type Hub, type HubOptions, type TokenOptions } from './hub/embedded.ts';
export type { Connection } from './hub/connections.ts';
export type { HubAttempt, HubEventName, HubEvents, HubExchange, HubListener, Outcome, Sending } from './hub/events.ts';
export {
  embedAgent as startAgent,
  serve,
  type Agent,
  AgentClosed,
  type AgentOptions,
  type ConnectOptions,
  type HandlerOptions,
  type ServeOptions,
  type UpstreamOptions,
} from './agent/embedded.ts';
export type { NodeHandler, Served } from './agent/application.ts';
export type { FetchHandler } from './agent/fetch-handler.ts';
export { SettingsError } from './config/settings-error.ts';
export { Failure, type FailureCode } from './http/failure.ts';
export type { HttpLimits } from './http/limits.ts';
export { createLog, type Log } from './observe/log.ts';
export { OptionError } from './schema/option-error.ts';
