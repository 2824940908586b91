import type { Handler } from '../http/exchange.ts';
import type { RequestHead } from '../http/head.ts';
import { ACCEPT } from '../http/names.ts';
import { EXPOSITION_TYPES, expositionFor } from '../observe/exposition.ts';
import type { Registry } from '../observe/metrics.ts';
import { GRPC_HEALTH } from './grpc-health.ts';
import { answer, type Answer, discard, json, problem, text } from './answer.ts';

/** Is the process able to do its work, and what does it say about that? */
export interface Readiness {
  ok: boolean;
  /** Shown with `?verbose`; holds no secrets. */
  detail: Readonly<Record<string, unknown>>;
}

/** Further pages. Null: it is none of theirs. */
export type Pages = (request: RequestHead) => Answer | null;

/** The console behind the open pages. */
export interface ConsoleHere extends Handler {
  /** Settings may turn it off and on. */
  isOn(): boolean;
}

export interface BasicsOptions {
  ready: () => Readiness;
  metrics: Registry;
  /** What `/status` says, as plain data without secrets; absent where there is no such page. */
  status?: () => object;
  /** gRPC's health service. */
  health: Handler;
  /** What else is here, of whatever method; absent: nothing. */
  pages?: Pages;
  /** For all that is none of this; absent: 404. */
  console?: ConsoleHere;
}

/**
 * The listener for operators: `/healthz` and `/livez` (the process lives), `/readyz` (it can take work), `/metrics` (Prometheus), `/status` (JSON), and
 * `grpc.health.v1`. Reads only, but for what `pages` adds.
 */
export function basics({ ready, metrics, status, health, pages: further, console }: BasicsOptions): Handler {
  const pages = new Map<string, (query: string, head: RequestHead) => Answer>([
    ['/healthz', () => text(200, 'ok\n')],
    ['/livez', () => text(200, 'ok\n')],
    ['/readyz', (query) => readyz(ready(), query)],
    ['/metrics', (_query, head) => metricsPage(metrics, head)],
  ]);
  if (status !== undefined) pages.set('/status', () => json(200, status()));
  const names = [...pages.keys()];
  const list = `There is ${names.slice(0, -1).join(', ')} and ${names.at(-1)}.`;
  return {
    open(request, reply, notes) {
      const { method, target } = request;
      const question = target.indexOf('?');
      const path = question < 0 ? target : target.slice(0, question);
      const page = pages.get(path);
      if (path.startsWith(GRPC_HEALTH)) return health.open(request, reply, notes);
      const other = page === undefined ? (further?.(request) ?? null) : null;
      if (other === null && page === undefined && console?.isOn() === true) return console.open(request, reply, notes);
      if (other !== null) answer(reply, other, method === 'HEAD');
      else if (page === undefined) answer(reply, problem(404, 'not_found', list), method === 'HEAD');
      else if (method !== 'GET' && method !== 'HEAD') {
        answer(reply, problem(405, 'method_not_allowed', 'Only GET and HEAD are answered here.', ['Allow', 'GET, HEAD']));
      } else answer(reply, page(question < 0 ? '' : target.slice(question + 1), request), method === 'HEAD');
      return discard();
    },
  };
}

/** In the format that is asked for. */
function metricsPage(metrics: Registry, head: RequestHead): Answer {
  const as = expositionFor(head.value(ACCEPT));
  return { status: 200, fields: ['Content-Type', EXPOSITION_TYPES[as], 'Vary', 'Accept'], body: metrics.render(as) };
}

function readyz({ ok, detail }: Readiness, query: string): Answer {
  const status = ok ? 200 : 503;
  if (new URLSearchParams(query).has('verbose')) return json(status, { ready: ok, ...detail });
  return text(status, ok ? 'ok\n' : 'not ready\n');
}
