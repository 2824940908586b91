import { Buffer } from 'node:buffer';
import { timingSafeEqual } from 'node:crypto';
import type { Loop } from '../std/loop.ts';
import type { ReplySink, RequestSink, Writer } from '../http/exchange.ts';
import { type HeaderList, NO_BODY, type RequestHead, ResponseHead } from '../http/head.ts';
import { REASONS } from '../http/write.ts';
import { VERSION } from '../observe/version.ts';
import { type Answer, answer, json } from './answer.ts';
import { problemsOf } from './body-form.ts';
import { EVENTS_TYPE, EventStream } from './events.ts';
import { adminLimits } from './limits.ts';
import type { Proof, Prove } from './proof.ts';
import { type AdminAnswer, type AdminRequest, type AdminRoute, type Asker, Problem, ROLES } from './route.ts';
import { Router } from './router.ts';
import { JsonError, parseStrictJson } from './strict-json.ts';

/** Something that somebody did, or tried. */
export interface Deed {
  readonly asker: Asker | null;
  readonly address: string;
  readonly action: string;
  readonly subject: string;
  readonly status: number;
  readonly detail: string;
}

export interface AdminApiOptions {
  readonly loop: Loop;
  readonly routes: readonly AdminRoute[];
  readonly prove: Prove;
  /** Told of everything that was to change something. */
  done(deed: Deed): void;
  /** An error that must not have been. */
  defect(error: unknown): void;
}

/** The admin API: finds the route, sees who asks and whether they may, reads the body, answers. */
export class AdminApi {
  readonly options: AdminApiOptions;
  readonly router: Router;
  streams = 0;
  /** The same by who has opened them. */
  readonly streamsBy = new Map<string, number>();

  constructor(options: AdminApiOptions) {
    this.options = options;
    this.router = new Router(options.routes);
  }

  /** `path`: without what stands before it (`/api/v1`); `base`: where the console stands. Answers when this has returned. */
  open(head: RequestHead, path: string, base: string, reply: ReplySink): RequestSink {
    return new Call(this, head.keep(), path, base, reply);
  }
}

/** By this commands tell what is ours from what is not, and another version from theirs. Strangers are not told. */
const WHO: HeaderList = ['Windlass-Version', VERSION];

/** One request. */
class Call implements RequestSink {
  writer: Writer | null = null;
  readonly #api: AdminApi;
  readonly #head: RequestHead;
  readonly #base: string;
  readonly #reply: ReplySink;
  readonly #proof: Proof | null;
  #route: AdminRoute | null = null;
  #parameters: Readonly<Record<string, string>> = {};
  #request: AdminRequest | null = null;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #bound: number = adminLimits.strangerBodyBytes;
  #stream: EventStream | null = null;
  #isOver = false;
  /** The answer is decided: what else comes of the body is dropped. */
  #isDecided = false;

  constructor(api: AdminApi, head: RequestHead, path: string, base: string, reply: ReplySink) {
    this.#api = api;
    this.#head = head;
    this.#base = base;
    this.#reply = reply;
    this.#proof = api.options.prove(head);
    try {
      this.#admit(path);
      if (head.bodiless) setImmediate(() => void this.#handle());
      else if (head.expectContinue) setImmediate(() => this.#isOver || reply.informational(ResponseHead.make(100, [], NO_BODY)));
    } catch (error) {
      this.#isDecided = true;
      setImmediate(() => this.#fail(error));
    }
  }

  /** @throws Problem when it may not come in */
  #admit(path: string): void {
    const head = this.#head;
    const proof = this.#proof;
    const method = head.method === 'HEAD' ? 'GET' : head.method;
    const found = this.#api.router.find(method, path);
    const route = found !== null && 'route' in found ? found.route : null;
    // Strangers are not told what there is.
    if (proof === null && route?.role !== 'anybody')
      throw new Problem(401, 'unauthorized', 'Show who you are: log in, or send "Authorization: Bearer TOKEN".');
    if (found === null) throw new Problem(404, 'not_found', 'There is nothing of this name; GET /api/v1/openapi.json lists what there is.');
    if (!('route' in found)) {
      throw new Problem(405, 'method_not_allowed', `Only ${found.allow.join(', ')} are answered here.`, { allow: found.allow });
    }
    this.#route = found.route;
    this.#parameters = found.parameters;
    if (!mayAsk(found.route, proof))
      throw new Problem(403, 'forbidden', `This needs the role ${found.route.role}, and you have ${proof!.asker.role}.`);
    if (method !== 'GET' && proof !== null && proof.csrf !== '' && found.route.role !== 'anybody') checkCsrf(head, proof);
    checkBody(head, found.route);
    if (proof !== null) this.#bound = adminLimits.bodyBytes;
    if (head.length > this.#bound) throw tooLarge(this.#bound);
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isDecided) return true;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#bound) {
      this.#isDecided = true;
      this.#chunks = [];
      this.#fail(tooLarge(this.#bound));
    } else this.#chunks.push(Buffer.from(chunk));
    return true;
  }

  end(): void {
    if (!this.#isDecided && !this.#head.bodiless) void this.#handle();
  }

  async #handle(): Promise<void> {
    if (this.#isOver) return;
    this.#isDecided = true;
    const route = this.#route!;
    try {
      const body = bodyOf(route, Buffer.concat(this.#chunks));
      this.#chunks = [];
      const target = this.#head.target;
      const question = target.indexOf('?');
      this.#request = {
        asker: this.#proof?.asker ?? null,
        parameters: this.#parameters,
        query: new URLSearchParams(question < 0 ? '' : target.slice(question + 1)),
        body,
        ifMatch: tagOf(this.#head.get('if-match')),
        head: this.#head,
        base: this.#base,
      };
      const made = await route.handle(this.#request);
      this.#note(made.status ?? 200);
      this.#send(made);
    } catch (error) {
      this.#fail(error);
    }
  }

  #send(made: AdminAnswer): void {
    if (this.#isOver) return;
    if ('events' in made) {
      this.#sendEvents(made);
      return;
    }
    const { status = 200, etag, fields = [] } = made;
    const all = etag === undefined ? fields : [...fields, 'ETag', `"${etag}"`];
    if (etag !== undefined && status === 200 && tagOf(this.#head.get('if-none-match')) === etag) {
      this.#answer({ status: 304, fields: all, body: '' });
    } else if ('text' in made) this.#answer({ status, fields: [...all, 'Content-Type', made.type], body: made.text });
    else if (status === 204) this.#answer({ status, fields: all, body: '' });
    else {
      const plain = json(status, made.json);
      this.#answer({ ...plain, fields: [...plain.fields, ...all] });
    }
  }

  #sendEvents({ events, fields = [] }: Extract<AdminAnswer, { events: unknown }>): void {
    const api = this.#api;
    if (this.#head.method === 'HEAD') {
      this.#answer({ status: 200, fields: ['Content-Type', EVENTS_TYPE, ...fields], body: '' });
      return;
    }
    if (api.streams >= adminLimits.eventStreams)
      throw new Problem(503, 'too_many_streams', `${adminLimits.eventStreams} event streams are open already; close a page.`);
    const by = `${this.#proof?.asker.by} ${this.#proof?.asker.name}`;
    const own = (api.streamsBy.get(by) ?? 0) + 1;
    if (own > adminLimits.eventStreamsOfOne)
      throw new Problem(503, 'too_many_streams', `${adminLimits.eventStreamsOfOne} event streams of yours are open already; close a page.`);
    api.streams++;
    api.streamsBy.set(by, own);
    const proof = this.#proof;
    const stream = new EventStream(
      this.#reply,
      api.options.loop,
      () => proof === null || proof.stands(),
      proof === null ? fields : [...fields, ...WHO],
    );
    this.#stream = stream;
    stream.begin((out) => {
      const stop = events(out);
      return () => {
        this.#isOver = true;
        api.streams--;
        const left = api.streamsBy.get(by)! - 1;
        if (left === 0) api.streamsBy.delete(by);
        else api.streamsBy.set(by, left);
        stop();
      };
    });
  }

  #fail(error: unknown): void {
    const known = error instanceof Problem;
    if (!known) this.#api.options.defect(error);
    const { status, code, detail, more } = known ? error : new Problem(500, 'internal', 'This failed by a defect of ours; the log says more.');
    this.#note(status, known ? code : 'internal');
    const fields: string[] = [];
    if (status === 401) fields.push('WWW-Authenticate', 'Bearer realm="windlass"');
    const { allow, retryAfterS, ...rest } = more;
    if (Array.isArray(allow)) fields.push('Allow', allow.join(', '));
    if (typeof retryAfterS === 'number') fields.push('Retry-After', String(Math.ceil(retryAfterS)));
    const made = json(status, { type: 'about:blank', title: REASONS[status] ?? '', status, code, detail, ...rest }, 'application/problem+json');
    this.#answer({ ...made, fields: [...made.fields, ...fields] });
  }

  /** What was to change something is noted, also when it came to nothing; but what strangers try is not worth a line each. */
  #note(status: number, code = ''): void {
    const route = this.#route;
    if (route === null || route.method === 'GET') return;
    // Readers change nothing: where they post, they only ask, such as where a URL would go, with every letter that is typed.
    if (route.method === 'POST' && route.role === 'read') return;
    const asker = this.#proof?.asker ?? null;
    if (asker === null && (this.#request === null || status === 429)) return;
    let detail = '';
    if (this.#request !== null) {
      try {
        detail = route.audit?.(this.#request) ?? '';
      } catch (error) {
        this.#api.options.defect(error);
      }
    }
    this.#api.options.done({
      asker,
      address: this.#head.client,
      action: `${route.method} ${route.path}`,
      subject: Object.values(this.#parameters).join(' '),
      status,
      detail: code === '' ? detail : `${detail}${detail === '' ? '' : ' '}(${code})`,
    });
  }

  #answer(made: Answer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    answer(this.#reply, this.#proof === null ? made : { ...made, fields: [...made.fields, ...WHO] }, this.#head.method === 'HEAD');
  }

  abort(): void {
    this.#isDecided = true;
    this.#chunks = [];
    if (this.#stream !== null) this.#stream.close();
    else if (!this.#isOver) {
      this.#isOver = true;
      this.#reply.settled();
    }
  }

  settled(): void {
    this.abort();
  }
}

function mayAsk({ role }: AdminRoute, proof: Proof | null): boolean {
  return role === 'anybody' || (proof !== null && ROLES.indexOf(proof.asker.role) >= ROLES.indexOf(role));
}

/** @throws Problem */
function checkCsrf(head: RequestHead, { csrf }: Proof): void {
  const given = Buffer.from(head.get('windlass-csrf') ?? '', 'latin1');
  const wanted = Buffer.from(csrf, 'latin1');
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
    throw new Problem(403, 'csrf', 'With a session every change carries Windlass-CSRF, with the value that GET /api/v1/session tells.');
}

/** @throws Problem */
function checkBody(head: RequestHead, route: AdminRoute): void {
  if (head.bodiless) {
    if (route.body !== undefined) throw new Problem(422, 'invalid', 'A body is missing.');
    return;
  }
  if (route.body === undefined) throw new Problem(422, 'invalid', 'No body is taken here.');
  const encoding = (head.get('content-encoding') ?? 'identity').toLowerCase();
  if (encoding !== 'identity') throw new Problem(415, 'unsupported', 'Send the body as it is, without Content-Encoding.');
  const type = (head.get('content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase();
  // What a form of another site can send is of none of these types.
  if (route.body === 'text' ? !/^(?:application|text)\/(?!x-www-form-urlencoded|plain$)/.test(type) : type !== 'application/json')
    throw new Problem(415, 'unsupported', `Send the body with Content-Type: ${route.body === 'text' ? 'application/toml' : 'application/json'}.`);
}

/** @throws Problem */
function bodyOf(route: AdminRoute, bytes: Buffer): unknown {
  if (route.body === undefined) return null;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new Problem(400, 'bad_body', 'The body is no UTF-8.');
  }
  if (route.body === 'text') return text;
  let value: unknown;
  try {
    value = parseStrictJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new Problem(400, 'bad_body', `${error.message[0]!.toUpperCase()}${error.message.slice(1)}.`);
  }
  const problems = problemsOf(value, route.body);
  const [first] = problems;
  if (first === undefined) return value;
  const where = first.at === '' ? 'The body' : first.at.slice(1).replaceAll('/', '.');
  throw new Problem(422, 'invalid', `${where} ${first.message}.`, { problems });
}

function tooLarge(bytes: number): Problem {
  return new Problem(413, 'body_too_large', `The body is larger than ${bytes} bytes.`);
}

/** Of `"x"` or `W/"x"`: x. */
function tagOf(field: string | undefined): string | null {
  return field === undefined ? null : field.trim().replace(/^W\//, '').replaceAll('"', '');
}
