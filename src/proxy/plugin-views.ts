import type { ClientCertificate } from '../http/client-certificate.ts';
import { type Head, type HeaderList, NO_BODY, type RequestHead, type ResponseHead, STRIDE, UNKNOWN_LENGTH } from '../http/head.ts';
import { idOfName, SLIME_APP_PASSWORD } from '../http/names.ts';
import type { Exchange } from './exchange.ts';
import type { BodyTransformer, PluginFields, PluginRequest, PluginResponse, Reply } from './plugin.ts';

const TARGET = /^\/[\x21-\x7e\x80-\xff]*$/;

/** A head as plugins see it. */
class Fields<H extends Head> implements PluginFields {
  /** @internal Changes when the request is held. */
  head: H;

  constructor(head: H) {
    this.head = head;
  }

  header(name: string): string | undefined {
    const { head } = this;
    const lower = name.toLowerCase();
    // Most requests have none of the fields that are asked for.
    if (head.tail === '') {
      const id = idOfName(lower);
      if (id !== 0 && !head.has(id)) return undefined;
    }
    return head.get(lower);
  }

  headers(): Iterable<readonly [name: string, value: string]> {
    const pairs: [string, string][] = [];
    this.head.each((name, value) => pairs.push([name, value]));
    return pairs;
  }

  setHeader(name: string, value: string): void {
    this.head.set(name, value);
  }

  addHeader(name: string, value: string): void {
    this.head.add(name, value);
  }

  removeHeader(name: string): void {
    this.head.removeName(name.toLowerCase());
  }
}

export class RequestView extends Fields<RequestHead> implements PluginRequest {
  /** Names that plugins have written or taken out, lower case; null = none. */
  #decided: Set<string> | null = null;
  readonly #exchange: Pick<Exchange, 'peek' | 'front'>;

  constructor(head: RequestHead, exchange: Pick<Exchange, 'peek' | 'front'>) {
    super(head);
    this.#exchange = exchange;
  }

  override setHeader(name: string, value: string): void {
    this.#decide(name);
    super.setHeader(name, value);
  }

  override addHeader(name: string, value: string): void {
    this.#decide(name);
    super.addHeader(name, value);
  }

  override removeHeader(name: string): void {
    this.#decide(name);
    super.removeHeader(name);
  }

  #decide(name: string): void {
    (this.#decided ??= new Set()).add(name.toLowerCase());
  }

  /** What plugins have said of a name, a trailer must not say otherwise: an upstream may merge the two. */
  withoutDecided(trailers: HeaderList): HeaderList {
    const decided = this.#decided;
    if (decided === null) return trailers;
    return trailers.filter((_, i) => !decided.has(trailers[i - (i % 2)]!.toLowerCase()));
  }

  get method(): string {
    return this.head.method;
  }

  get host(): string {
    return this.head.authority;
  }

  get scheme(): 'http' | 'https' {
    const { peer } = this.head;
    if (!peer.trusted) return peer.scheme;
    const told = /^\s*https?(?=\s*(?:,|$))/i.exec(this.header('x-forwarded-proto') ?? '');
    return told === null ? peer.scheme : told[0].trim().length === 5 ? 'https' : 'http';
  }

  get clientCertificate(): ClientCertificate | null {
    return this.head.peer.certificate;
  }

  get target(): string {
    return this.head.target;
  }

  get path(): string {
    return this.head.path;
  }

  get query(): string {
    const { target } = this.head;
    const at = target.indexOf('?');
    return at < 0 ? '' : target.slice(at + 1);
  }

  setTarget(target: string): void {
    if (!TARGET.test(target)) throw new RangeError(`not a target: ${JSON.stringify(target.slice(0, 80))}`);
    this.head.newTarget = target;
  }

  cookie(name: string): string | undefined {
    const cookies = this.header('cookie');
    if (cookies === undefined) return undefined;
    for (const pair of cookies.split(/[;,]/)) {
      const at = pair.indexOf('=');
      if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
    }
    return undefined;
  }

  parameter(name: string): string | undefined {
    const { query } = this;
    // With a question mark before it: it takes one away, and the next is of the first name.
    return query === '' ? undefined : (new URLSearchParams(`?${query}`).get(name) ?? undefined);
  }

  get appPassword(): string {
    const { head } = this;
    // It was taken out where the request came in: what is removed is still there, and marked.
    for (let i = 0; i < head.count; i++) {
      if (head.idAt(i) !== SLIME_APP_PASSWORD) continue;
      const f = i * STRIDE;
      return head.bytes.latin1Slice(head.fields[f + 2]!, head.fields[f + 3]!);
    }
    return '';
  }

  get upgrade(): string {
    return this.head.upgrade;
  }

  get length(): number | null {
    const { length } = this.head;
    return this.head.bodiless ? 0 : length < 0 ? null : length;
  }

  peek(bytes: number): Promise<Uint8Array> {
    return this.#exchange.peek(bytes);
  }

  transform(transformer: BodyTransformer): void {
    const { front } = this.#exchange;
    if (this.head.bodiless) return;
    if (front === null) throw new RangeError('a plugin changes bodies of requests without saying so (changesRequests)');
    front.transform(transformer);
    this.head.setLength(UNKNOWN_LENGTH);
  }
}

export class ResponseView extends Fields<ResponseHead> implements PluginResponse {
  readonly #isHead: boolean;
  /** Those that were asked for, in order. */
  readonly transformers: BodyTransformer[] = [];

  constructor(head: ResponseHead, isHead: boolean) {
    super(head);
    this.#isHead = isHead;
  }

  get status(): number {
    return this.head.status;
  }

  setStatus(status: number): void {
    if (!Number.isInteger(status) || status < 200 || status > 599 || this.head.status === 101) throw new RangeError(`not a status to set: ${status}`);
    this.head.status = status;
  }

  get length(): number | null {
    const { length } = this.head;
    return !this.#isHead && this.bodiless ? 0 : length < 0 ? null : length;
  }

  get bodiless(): boolean {
    const { status, length } = this.head;
    return this.#isHead || status === 204 || status === 304 || status === 101 || length === 0 || length === NO_BODY;
  }

  /** @internal What a plugin wants to answer with instead. */
  replacement: Reply | null = null;

  replace(reply: Reply): void {
    this.replacement = reply;
  }

  /** @internal The head of what was given instead: nobody transforms what is dropped. */
  instead(head: ResponseHead): void {
    this.replacement = null;
    this.head = head;
    for (const transformer of this.transformers) transformer.close?.();
    this.transformers.length = 0;
  }

  transform(transformer: BodyTransformer, length?: number): void {
    if (!this.#isHead && this.bodiless) return;
    this.head.setLength(length ?? UNKNOWN_LENGTH);
    if (!this.#isHead) this.transformers.push(transformer);
  }

  giveBody(transformer: BodyTransformer): void {
    const { status } = this.head;
    if (this.#isHead || status === 204 || status === 304 || status === 101) return;
    this.head.setLength(UNKNOWN_LENGTH);
    this.transformers.push(transformer);
  }
}
