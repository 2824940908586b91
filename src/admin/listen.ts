import type { Loop } from '../std/loop.ts';
import type { Registry } from '../observe/metrics.ts';
import type { Handler } from '../http/exchange.ts';
import { httpLimits } from '../http/limits.ts';
import { ServerH1 } from '../http/server-h1.ts';
import { answer, discard, problem } from './answer.ts';
import { basics, type ConsoleHere, type Pages, type Readiness } from './basics.ts';
import { GrpcHealth } from './grpc-health.ts';
import { adminLimits } from './limits.ts';

/** The listener for operators, running. */
export interface AdminListener {
  readonly address: { readonly host: string; readonly port: number };
  /** Nobody comes in any more. What runs may end, for a moment: it may be what ordered this. */
  leave(): void;
  close(): void;
}

/** Serves health, readiness, metrics, and what `status` says. `health`: gRPC's health service, where it knows more than this readiness. `pages`: further ones. `console`: what else there is. @throws the listen error */
export async function listenForOperators(
  loop: Loop,
  at: { host: string; port: number },
  metrics: Registry,
  ready: () => Readiness,
  status?: () => object,
  health: Handler = new GrpcHealth(loop, (service) => (service === '' ? ready().ok : null)),
  pages?: Pages,
  console?: ConsoleHere,
): Promise<AdminListener> {
  const server = new ServerH1({
    loop,
    limits: { ...httpLimits, bodyBytes: console === undefined ? 8 * 1024 : adminLimits.bodyBytes, connections: adminLimits.connections },
    handler: basics({
      ready,
      metrics,
      health,
      ...(status === undefined ? {} : { status }),
      ...(pages === undefined ? {} : { pages }),
      ...(console === undefined ? {} : { console }),
    }),
    refuse: (failure, _peer, _head, reply) => {
      answer(reply, problem(failure.status, failure.code, failure.detail));
      return discard();
    },
    rescue: (failure, reply) => answer(reply, problem(failure.status, failure.code, failure.detail)),
    trusts: () => false,
    halfClose: 'answer',
    // A probe that gets no answer ends the process, where an orchestrator asks.
    makesRoom: true,
  });
  const bound = await server.listen(at.host, at.port);
  const leave = (): void => {
    const late = setTimeout(() => server.destroy(), adminLimits.leaveMs).unref();
    void server.drain().then(() => clearTimeout(late));
  };
  return { address: { host: bound.address, port: bound.port }, leave, close: () => server.destroy() };
}
