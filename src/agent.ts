/** For services that offer themselves to a hub: `import { serve } from 'windlass/agent'`. It loads neither configuration nor plugins nor pages for operators. */
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
export { createLog, type Log } from './observe/log.ts';
export { OptionError } from './schema/option-error.ts';
