import { hostname } from 'node:os';
import type { Notes } from '../../http/exchange.ts';
import { Failure } from '../../http/failure.ts';
import type { RequestHead } from '../../http/head.ts';
import type { Captures, Upstream } from '../../upstream/upstream.ts';
import { compileFieldEdits, type FieldEdits } from '../../proxy/field-edits.ts';
import { ATTEMPTS } from '../../proxy/limits.ts';
import type { Load, Location, RequestEdits } from '../../proxy/location.ts';
import { type LocationSettings, upstreamName } from '../../proxy/location-section.ts';
import { compileReplyEdits, type ReplyEditSettings } from '../../proxy/reply-edits.ts';
import type { PluginChain } from '../../proxy/plugin-chain.ts';
import type { Rewrite } from '../../proxy/rewrite.ts';
import type { LocationTally } from '../../proxy/tally.ts';
import type { ServerFacts } from '../../proxy/template.ts';
import type { LocationItem } from '../../config/gateway.ts';

/** What the locations of one server are made with. */
export interface Surroundings {
  readonly server: ServerFacts;
  readonly tellsTiming: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of that name, as the new configuration has it. */
  upstream(name: string): Upstream | null;
  /** What answers in place of an upstream: ourselves. Null: nothing does. */
  inside(settings: LocationSettings): Upstream | null;
  /** Kept across reloads, by the location's name. */
  load(name: string): Load;
  /** Where the requests of a location are counted, kept across reloads. */
  tally(location: string, upstream: string): LocationTally;
  /** Null: none. */
  plugins(names: readonly string[]): PluginChain | null;
  /** May nobody wait now? */
  isPressed(): boolean;
}

/** Makes of a location's settings what the core goes by. @throws Wrong */
export function makeLocation({ name, settings, rule }: LocationItem, around: Surroundings): Location {
  const { upstream } = settings;
  const captures = new Set([...rule.captures, ...(settings.rewrite?.names ?? [])]);
  const inside = around.inside(settings);
  const isFixed = upstream !== null && !upstream.startsWith('$');
  return {
    name,
    upstream: inside ?? (isFixed ? around.upstream(upstream) : null),
    ...(inside !== null || isFixed || upstream === null ? {} : { choose: (captures) => chosen(upstream, captures, around) }),
    patienceMs: (head, of) => (around.isPressed() ? 0 : (of.patienceMs?.(head) ?? 0)),
    timeoutMs: settings.timeout ?? 0,
    upgrades: new Set(settings.upgrades),
    bodyBytes: settings.clientMaxBodySize,
    maxRunning: settings.maxProcessing,
    load: around.load(name),
    tally: around.tally(name, isFixed ? upstream : ''),
    attempts: settings.maxRetries === null ? ATTEMPTS : settings.maxRetries + 1,
    retryWindowMs: settings.maxRetryWindow ?? 0,
    tellsTiming: around.tellsTiming,
    plugins: around.plugins(settings.plugins),
    edits: editsOf(settings, captures, around),
    replyEdits: compileReplyEdits(replyEditSettings(settings), { env: around.env, captures }),
  };
}

function replyEditSettings(of: LocationSettings): ReplyEditSettings {
  return { set: of.setResponseHeaders, add: of.addResponseHeaders, remove: of.removeResponseHeaders };
}

function chosen(upstream: string, captures: Captures, around: Surroundings): Upstream | null {
  const name = upstreamName(upstream, captures);
  return name === null ? null : around.upstream(name);
}

function editsOf(settings: LocationSettings, captures: ReadonlySet<string>, { server, env }: Surroundings): RequestEdits | null {
  const { rewrite } = settings;
  const fields = compileFieldEdits(
    {
      set: settings.proxySetHeaders,
      add: settings.proxyAddHeaders,
      remove: settings.proxyRemoveHeaders,
      reverseProxy: settings.enableReverseProxyHeaders,
    },
    { env, captures },
  );
  return rewrite === null && fields === null ? null : new Edits(rewrite, fields, server);
}

/** A rewrite and then the header edits. */
class Edits implements RequestEdits {
  readonly #rewrite: Rewrite | null;
  readonly #fields: FieldEdits | null;
  readonly #server: ServerFacts;
  readonly applyLate: RequestEdits['applyLate'];

  constructor(rewrite: Rewrite | null, fields: FieldEdits | null, server: ServerFacts) {
    this.#rewrite = rewrite;
    this.#fields = fields;
    this.#server = server;
    this.applyLate = fields?.hasLate === true ? (head, captures, notes) => fields.applyLate(head, { head, notes, captures, server }) : null;
  }

  apply(head: RequestHead, captures: Captures, notes: Notes): Captures | Failure {
    const now = this.#rewrite === null ? captures : this.#rewrite.apply(head, captures);
    if (head.problem !== null) return new Failure(head.problem, head.problemDetail);
    this.#fields?.apply(head, { head, notes, captures: now, server: this.#server });
    return now;
  }
}

/** What is the same for all requests of a server that listens at `address`. */
export function serverFacts(address: string): ServerFacts {
  return { hostname: hostname(), address };
}
