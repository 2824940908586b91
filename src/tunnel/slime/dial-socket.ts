import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import type { UpstreamUrl } from '../../schema/upstream-url.ts';
import { connectThrough } from '../native/connect.ts';
import { slimeLimits } from './limits.ts';

/** How a hub of slime is reached. */
export interface SlimeWay {
  readonly hub: UpstreamUrl;
  /** An HTTP proxy on the way. */
  readonly proxy?: UpstreamUrl | null;
  /** What to trust instead of what Node believes. */
  readonly trust?: tls.SecureContext;
  /** The same for the hub alone, and what to show it. */
  hubTrust?(): tls.SecureContext;
}

/** How long a connection that says nothing is believed in, ms: then the kernel asks, ten times in ten seconds. */
const PROBE_AFTER_MS = 30_000;

/** Connections to one hub, kept and used again. Those with TLS are made here as well, so that certificates that change are shown anew. */
export function slimeAgent(way: SlimeWay): http.Agent {
  const agent = new http.Agent({ keepAlive: true, scheduling: 'lifo' });
  const open = (_options: unknown, done: (error: Error | null, socket?: net.Socket) => void): undefined => {
    connect(way, done);
  };
  // Node's type knows only the one that returns a socket at once; it takes this one as well.
  (agent as unknown as { createConnection: typeof open }).createConnection = open;
  return agent;
}

function connect(way: SlimeWay, done: (error: Error | null, socket?: net.Socket) => void): void {
  const { hub, proxy = null, trust } = way;
  let over = false;
  let socket: net.Socket | null = null;
  let giveUp: (() => void) | null = null;
  const end = (error: Error | null): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    if (error === null) done(null, socket!);
    else {
      giveUp?.();
      socket?.destroy();
      done(error);
    }
  };
  const timer = setTimeout(() => end(new Error(`it did not answer within ${slimeLimits.joinTimeoutMs} ms`)), slimeLimits.joinTimeoutMs);
  const use = (made: net.Socket, event: 'connect' | 'secureConnect' | null): void => {
    socket = made;
    made.setNoDelay(true);
    made.setKeepAlive(true, PROBE_AFTER_MS);
    made.once('error', end);
    if (event === null) end(null);
    else made.once(event, () => end(null));
  };
  const secure = (over: { socket: net.Socket } | { host: string; port: number }): tls.TLSSocket => {
    const context = way.hubTrust?.() ?? trust;
    return tls.connect({
      ...over,
      ...(net.isIP(hub.host) === 0 ? { servername: hub.host } : { host: hub.host }),
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      ...(context === undefined ? {} : { secureContext: context }),
    });
  };
  const { host, port, protocol } = hub;
  if (proxy !== null) {
    giveUp = connectThrough(proxy, hub, trust, (outcome) => {
      giveUp = null;
      if ('problem' in outcome) end(new Error(outcome.problem));
      else if (protocol === 'https') use(secure({ socket: outcome.socket }), 'secureConnect');
      else {
        outcome.socket.resume();
        use(outcome.socket, null);
      }
    });
  } else if (protocol === 'https') use(secure({ host, port }), 'secureConnect');
  else use(net.connect({ host, port }), 'connect');
}
