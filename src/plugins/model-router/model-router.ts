import { assignments } from '../../schema/assignments.ts';
import { orOff, text, textLike } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { type Announced, definePlugin, type PluginExchange, type Reply, slot, type Verdict } from '../../proxy/plugin.ts';
import { jsonField } from './json-field.ts';
import { LISTED, MODEL_CHARS, PEEK_BYTES } from './limits.ts';
import { UsageWatcher } from './usage.ts';

const WHERE = 'Where to';

/** Sends requests to whoever has the model that their bodies name. */
export const modelRouterPlugin = definePlugin({
  name: 'model_router',
  summary: 'sends requests to the upstream, or to the agents, that have the model which their JSON bodies name; lists all models; counts tokens',
  settings: {
    models: setting<ReadonlyMap<string, string>>({
      kind: assignments('MODEL=UPSTREAM', 'model and the upstream that has it, such as gpt-4o=cloud'),
      group: WHERE,
      help: 'which upstream has which model',
      fallback: new Map(),
      fallbackText: 'none',
      refersTo: 'upstreams',
    }),
    agents: setting<string | null>({
      kind: text('NAME', 'name of an upstream'),
      group: WHERE,
      help: 'upstream of agents for the models that agents announce; it has agents = "models=$model"',
      fallback: null,
      fallbackText: 'none',
      refersTo: 'upstreams',
    }),
    default: setting<string | null>({
      kind: text('NAME', 'name of an upstream'),
      group: WHERE,
      help: 'upstream for all other models, and for bodies that name none',
      fallback: null,
      fallbackText: 'none: 404 for a model that nobody has, 400 for a body without one',
      refersTo: 'upstreams',
    }),
    field: setting({
      kind: text('NAME', 'name of a field'),
      group: 'Requests',
      help: 'field of the JSON object that names the model',
      fallback: 'model',
    }),
    capture: setting({
      kind: textLike(/^[A-Za-z_]\w{0,63}$/, 'NAME', 'name of a capture', 'begin with a letter; letters, digits and _ follow'),
      group: 'Requests',
      help: 'the model is captured under this name: $model in the selector of agents',
      fallback: 'model',
    }),
    listPath: setting<string | null>({
      kind: orOff(textLike(/^\/[!-~]*$/, 'PATH', 'path', 'begin it with /')),
      group: 'List',
      help: 'GET of this path lists all models; off = it goes to the upstream like any other',
      fallback: '/v1/models',
    }),
  },
  create({ models, agents, default: fallback, field, capture, listPath }, { name, announced, metrics, clock }) {
    if (models.size === 0 && agents === null && fallback === null)
      throw new Wrong('names no upstream', 'write agents = "NAME", or models, or default');
    const known = new Known(models, agents === null ? null : announced, Math.floor(clock.wall() / 1000));
    const router = new Router(known, { agents, fallback, field, capture });
    const tokens = metrics.counters('windlass_model_tokens_total', 'Tokens that answers say were read (in) and written (out).', [
      'plugin',
      'model',
      'direction',
    ]);
    return {
      request(exchange) {
        const { request } = exchange;
        if (listPath !== null && (request.method === 'GET' || request.method === 'HEAD')) {
          const { path } = request;
          if (path === listPath) return known.list();
          if (path.startsWith(`${listPath}/`)) return known.one(path.slice(listPath.length + 1));
        }
        if (request.length === 0 || request.upgrade !== '') return router.without(exchange);
        return router.route(exchange);
      },
      response(exchange) {
        const model = exchange.get(countedAs);
        const { response } = exchange;
        if (model === undefined || response === null || response.status !== 200 || response.bodiless) return;
        if (response.header('content-encoding') !== undefined) return;
        if (!/^(?:application\/json|text\/event-stream)\s*(?:;|$)/i.test(response.header('content-type') ?? '')) return;
        const watcher = new UsageWatcher(({ input, output }) => {
          if (input !== null) {
            tokens.with(name, model, 'in').value += input;
            exchange.note('tokens_in', input);
          }
          if (output !== null) {
            tokens.with(name, model, 'out').value += output;
            exchange.note('tokens_out', output);
          }
        });
        response.transform(watcher, response.length ?? undefined);
      },
    };
  },
});

/** The model as metrics know it: clients may not make up names there. */
const countedAs = slot<string>('model_router model');

/** The models that somebody has. */
class Known {
  readonly #models: ReadonlyMap<string, string>;
  readonly #announced: Announced | null;
  readonly #sinceS: number;

  constructor(models: ReadonlyMap<string, string>, announced: Announced | null, sinceS: number) {
    this.#models = models;
    this.#announced = announced;
    this.#sinceS = sinceS;
  }

  upstreamOf(model: string): string | null {
    return this.#models.get(model) ?? null;
  }

  isAnnounced(model: string): boolean {
    return this.#announced !== null && this.#announced.knows('models', model);
  }

  list(): Reply {
    const data = this.#ids().map((id) => this.#entry(id));
    return json(200, { object: 'list', data });
  }

  one(escaped: string): Reply {
    let id: string;
    try {
      id = decodeURIComponent(escaped);
    } catch {
      id = escaped;
    }
    return this.#ids().includes(id) ? json(200, this.#entry(id)) : unknown(id);
  }

  /** Those that can be had now. */
  #ids(): string[] {
    const ids = new Set(this.#models.keys());
    for (const model of this.#announced?.values('models') ?? []) ids.add(model);
    return [...ids].slice(0, LISTED);
  }

  #entry(id: string): object {
    return { id, object: 'model', created: this.#sinceS, owned_by: 'windlass' };
  }
}

interface Ways {
  readonly agents: string | null;
  readonly fallback: string | null;
  readonly field: string;
  readonly capture: string;
}

class Router {
  readonly #known: Known;
  readonly #ways: Ways;

  constructor(known: Known, ways: Ways) {
    this.#known = known;
    this.#ways = ways;
  }

  /** A request that has no body to look into: the location's own upstream takes it when there is no default. */
  without(exchange: PluginExchange): Verdict {
    const { fallback } = this.#ways;
    if (fallback !== null) send(exchange, fallback);
  }

  async route(exchange: PluginExchange): Promise<Verdict> {
    const { request } = exchange;
    const { field } = this.#ways;
    if (isOpaque(request.header('content-type'), request.header('content-encoding'))) return this.#nameless(exchange, 'this body cannot be read');
    const bytes = await request.peek(PEEK_BYTES);
    const found = jsonField(bytes, field, bytes.length === request.length);
    switch (found.is) {
      case 'found':
        return this.#toModel(exchange, found.value);
      case 'missing':
        return this.#nameless(exchange, 'you must provide it');
      case 'broken':
        return this.#nameless(exchange, 'the body is no JSON object');
      case 'ambiguous':
        return this.#bad('it must stand there once, and be a string');
      case 'beyond':
        return this.#bad(`it must stand in the first ${PEEK_BYTES / 1024} KiB of the body: put it first`);
    }
  }

  #toModel(exchange: PluginExchange, model: string): Verdict {
    const { agents, fallback, capture } = this.#ways;
    if (model === '' || model.length > MODEL_CHARS || !/^[^\p{C}]+$/u.test(model)) return unknown(model);
    const own = this.#known.upstreamOf(model);
    const isAnnounced = own === null && this.#known.isAnnounced(model);
    const upstream = own ?? (isAnnounced ? agents : fallback);
    if (upstream === null) return unknown(model);
    exchange.setCapture(capture, model);
    exchange.note('model', model);
    exchange.set(countedAs, own !== null || isAnnounced ? model : 'other');
    send(exchange, upstream);
  }

  /** Whoever takes the rest takes those as well. */
  #nameless(exchange: PluginExchange, why: string): Verdict {
    const { fallback } = this.#ways;
    if (fallback === null) return this.#bad(why);
    exchange.set(countedAs, 'other');
    send(exchange, fallback);
  }

  #bad(why: string): Reply {
    const { field } = this.#ways;
    return json(400, { error: { message: `No model in '${field}': ${why}.`, type: 'invalid_request_error', param: field, code: null } });
  }
}

/** Forms with files have no JSON, and what is compressed cannot be looked into. (curl -d calls JSON a form of the other kind: that is looked into.) */
function isOpaque(type = '', encoding = ''): boolean {
  return (encoding !== '' && encoding.toLowerCase() !== 'identity') || /^multipart\//i.test(type);
}

/** @throws when it has gone, which the configuration does not allow */
function send(exchange: PluginExchange, upstream: string): void {
  if (!exchange.useUpstream(upstream)) throw new Error(`there is no upstream ${upstream}`);
}

/** As OpenAI says it, so that clients understand it. */
function unknown(model: string): Reply {
  const message = `The model '${model.slice(0, MODEL_CHARS)}' does not exist or you do not have access to it.`;
  return json(404, { error: { message, type: 'invalid_request_error', param: null, code: 'model_not_found' } });
}

function json(status: number, body: object): Reply {
  return { status, headers: ['Content-Type', 'application/json', 'Cache-Control', 'no-store'], body: JSON.stringify(body) };
}
