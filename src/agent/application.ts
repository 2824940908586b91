import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type net from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '../observe/log.ts';
import { OptionError } from '../schema/option-error.ts';
import { httpLimits } from '../http/limits.ts';
import { PairedSocket, socketPair } from '../std/socket-pair.ts';
import { answerWith, type FetchHandler } from './fetch-handler.ts';

/** `(request, response)`, as for http.createServer(): Express applications are such functions. A promise that it returns keeps the slot until it is settled. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Whatever answers requests: functions of both kinds, an object with `fetch` (Hono, Elysia …), or a server of node:http that listens nowhere (Fastify's `app.server`). */
export type Served = NodeHandler | FetchHandler | { fetch: FetchHandler } | http.Server;

export interface ApplicationOptions {
  /** Which of both kinds a function is; absent: one of a single parameter is `fetch`. */
  readonly kind?: 'node' | 'fetch';
  /** For upgrades (WebSockets), as the `upgrade` event of http.Server. Absent: such requests are answered like others. */
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly log: Log;
}

/** A service in this process that no port leads to: opens connections to itself. */
export interface Application {
  readonly connect: () => net.Socket;
  /** Cuts the connections that are left. */
  close(): void;
}

/** @throws OptionError */
export function application(served: Served, { kind, upgrade, log }: ApplicationOptions): Application {
  const server = served instanceof http.Server ? served : ownServer(listenerOf(served, kind, log), upgrade);
  if (served instanceof http.Server && upgrade !== undefined)
    throw new OptionError('upgrade', "is for functions: a server has its own event, server.on('upgrade', …)");
  const open = new Set<PairedSocket>();
  return {
    connect: () => {
      const [near, far] = socketPair({ remoteAddress: '127.0.0.1', localAddress: '127.0.0.1' });
      open.add(far);
      far.once('close', () => open.delete(far));
      server.emit('connection', far);
      return near.asSocket;
    },
    close: () => {
      for (const socket of open) socket.destroy();
    },
  };
}

function ownServer(listener: (request: IncomingMessage, response: ServerResponse) => void, upgrade: ApplicationOptions['upgrade']): http.Server {
  // What an agent lets through is bounded already, and it keeps its connections for as long as it likes.
  const server = http.createServer({ maxHeaderSize: 2 * httpLimits.headBytes, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 }, listener);
  server.maxHeadersCount = 0;
  if (upgrade !== undefined) server.on('upgrade', upgrade);
  return server;
}

function listenerOf(
  served: Exclude<Served, http.Server>,
  kind: ApplicationOptions['kind'],
  log: Log,
): (request: IncomingMessage, response: ServerResponse) => void {
  const run = handlerOf(served, kind, log);
  return (request, response) => {
    const failed = (error: unknown): void => {
      log.error({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'the handler failed on a request');
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { 'Content-Type': 'text/plain' }).end('the service failed\n');
    };
    try {
      const work = run(request, response);
      if (!isPromise(work)) return;
      // The slot is free when the work is over, however early the application has left.
      if (request.socket instanceof PairedSocket) request.socket.hold(work);
      work.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  };
}

function handlerOf(served: Exclude<Served, http.Server>, kind: ApplicationOptions['kind'], log: Log): NodeHandler {
  // An Express application is a function that has methods, so functions come first.
  if (typeof served === 'function') {
    const isFetch = kind === undefined ? served.length === 1 : kind === 'fetch';
    return isFetch ? (request, response) => answerWith(served as FetchHandler, request, response, log) : (served as NodeHandler);
  }
  if (typeof served === 'object' && served !== null && typeof served.fetch === 'function')
    return (request, response) => answerWith((each) => served.fetch(each), request, response, log);
  throw new OptionError('handler', 'is neither a function, nor an object with fetch(), nor a server of node:http');
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
