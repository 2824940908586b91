import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Log } from '../../observe/log.ts';
import { makeCertificate } from '../certificate.ts';
import { makeKey, type KeyType } from '../signing.ts';
import type { NamedPair } from '../store.ts';
import { AcmeClient } from './client.ts';
import type { OrderDesk } from './desk.ts';
import type { ExternalAccount } from './jws.ts';
import type { AcmeLimits } from './limits.ts';
import { orderCertificate } from './order.ts';
import { AcmeError } from './problem.ts';
import type { AcmeStore, CertificateRecord } from './records.ts';
import type { ChallengeSolver } from './solver.ts';
import { AcmeTransport } from './transport.ts';
import { StoreError } from '../../store/records.ts';

/** What is to be ordered, and where. */
export interface OrderTerms {
  /** For the log. */
  readonly name: string;
  /** Lower case. */
  readonly domains: readonly string[];
  readonly isDefault: boolean;
  readonly directoryUrl: string;
  /** PEM of those who vouch for the directory's server; null = the usual ones. */
  readonly ca: string | null;
  readonly email: string | null;
  readonly external: ExternalAccount | null;
  readonly keyType: KeyType;
  /** Renewed so long before its end, ms; null = a third of its lifetime. */
  readonly renewBeforeMs: number | null;
  /** What serves until the first one is there, PEM; null = a certificate that nobody vouches for. */
  readonly initial: { readonly cert: string; readonly key: string } | null;
}

/** What orders are made with; the same for all certificates of a process. */
export interface OrderMeans {
  readonly store: AcmeStore;
  readonly solvers: readonly ChallengeSolver[];
  readonly desk: OrderDesk;
  readonly limits: AcmeLimits;
  readonly log: Log;
  /** Wall-clock ms. */
  readonly wall: () => number;
  /** 0 to 1. */
  readonly random: () => number;
  /** An order has ended. */
  readonly ended: (name: string, result: 'issued' | 'failed') => void;
}

/** How a certificate that is ordered is doing. */
export interface OrderedStatus {
  readonly state: 'placeholder' | 'serving';
  readonly isOrdering: boolean;
  /** Tries that failed since the last that did not. */
  readonly failures: number;
  /** Why the last one failed; '' = it did not. */
  readonly lastError: string;
  /** Wall-clock ms. */
  readonly nextTryMs: number;
}

interface Pair {
  readonly cert: string;
  readonly key: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * A certificate that is ordered from an ACME server, and ordered anew in time. It serves from the start: what was ordered before, else what is given,
 * else a placeholder that no client believes.
 */
export class OrderedCertificate implements NamedPair {
  readonly domains: readonly string[];
  readonly isDefault: boolean;
  readonly #terms: OrderTerms;
  readonly #means: OrderMeans;
  readonly #id: string;
  readonly #end = new AbortController();
  /** Which part of the time that is left to chance it takes. */
  readonly #chance: number;
  #pair: Pair;
  #isPlaceholder = true;
  /** What came and could not be kept yet. */
  #unsaved: Pair | null = null;
  #timer: NodeJS.Timeout | undefined;
  #nextMs = 0;
  #failures = 0;
  #lastError = '';
  #isOrdering = false;
  /** Called when new handshakes get another certificate. */
  changed: () => void = () => {};

  /** `kept`: what is in the store. */
  static async open(terms: OrderTerms, means: OrderMeans, kept: ReadonlyMap<string, CertificateRecord>): Promise<OrderedCertificate> {
    const one = new OrderedCertificate(terms, means, await placeholderFor(terms.domains, means.wall()));
    one.#take(kept);
    return one;
  }

  private constructor(terms: OrderTerms, means: OrderMeans, placeholder: Pair) {
    this.#terms = terms;
    this.#means = means;
    this.domains = terms.domains;
    this.isDefault = terms.isDefault;
    this.#id = idOf(terms);
    this.#chance = means.random();
    this.#pair = placeholder;
  }

  get cert(): string {
    return this.#pair.cert;
  }

  get key(): string {
    return this.#pair.key;
  }

  get notAfterMs(): number {
    return this.#pair.notAfterMs;
  }

  get status(): OrderedStatus {
    return {
      state: this.#isPlaceholder ? 'placeholder' : 'serving',
      isOrdering: this.#isOrdering,
      failures: this.#failures,
      lastError: this.#lastError,
      nextTryMs: this.#nextMs,
    };
  }

  /** Orders as soon as it is due. */
  start(): void {
    if (!this.#end.signal.aborted) this.#look();
  }

  /** Calls off what runs. */
  stop(): void {
    this.#end.abort();
    clearTimeout(this.#timer);
  }

  /** What can serve until something newer comes: the one that was ordered for these names, one that was ordered for some of them, the one that was given. */
  #take(records: ReadonlyMap<string, CertificateRecord>): void {
    const { initial, domains } = this.#terms;
    const own = records.get(this.#id);
    const found =
      this.#usable(own, domains) ??
      // Reading one costs a tenth of a millisecond, and there may be thousands.
      [...records].map(([id, record]) => (isAkin(id, this.#terms) ? this.#usable(record, domains) : null)).find((pair) => pair !== null) ??
      this.#usable(initial === null ? undefined : { chain: initial.cert, key: initial.key }, domains);
    if (found === null) return;
    this.#pair = found;
    this.#isPlaceholder = false;
    this.#nextMs = covers(found, domains) ? this.#dueMs(found) : 0;
  }

  /** Null: there is none that has not expired and is for one of the names at least. */
  #usable(kept: Pick<CertificateRecord, 'chain' | 'key'> | undefined, domains: readonly string[]): Pair | null {
    const pair = kept === undefined ? null : readPair(kept.chain, kept.key);
    if (pair === null || pair.notAfterMs <= this.#means.wall()) return null;
    return domains.some((domain) => covers(pair, [domain])) ? pair : null;
  }

  #look(): void {
    clearTimeout(this.#timer);
    const leftMs = this.#nextMs - this.#means.wall();
    if (leftMs > 0 || this.#isOrdering)
      this.#timer = setTimeout(() => this.#look(), Math.min(Math.max(leftMs, 1), this.#means.limits.lookMs)).unref();
    else void this.#try();
  }

  async #try(): Promise<void> {
    const { desk, ended } = this.#means;
    this.#isOrdering = true;
    try {
      await desk.run(() => (this.#end.signal.aborted ? Promise.resolve() : this.#renew()));
    } catch (error) {
      if (!this.#end.signal.aborted) {
        this.#failed(error);
        ended(this.#terms.name, 'failed');
      }
    } finally {
      this.#isOrdering = false;
    }
    if (!this.#end.signal.aborted) this.#look();
  }

  #failed(error: unknown): void {
    const { limits, wall, log, random } = this.#means;
    const { retryMs, retryMaxMs } = limits;
    // A server in trouble does not know for how long; one that counts our orders does.
    const believedMs = error instanceof AcmeError && COUNTED.has(error.type) ? limits.rateLimitedMaxMs : retryMaxMs;
    const retryAfterMs = error instanceof AcmeError ? Math.min(error.retryAfterMs ?? 0, believedMs) : 0;
    // Between half and all of it, so that those who failed together do not come back together.
    const backoffMs = Math.min(retryMaxMs, retryMs * 2 ** Math.min(this.#failures, 20)) * (0.5 + random() / 2);
    this.#failures++;
    this.#nextMs = wall() + Math.max(backoffMs, retryAfterMs);
    const isOurs = !(error instanceof AcmeError || error instanceof StoreError);
    this.#lastError = isOurs ? (error instanceof Error ? (error.stack ?? error.message) : String(error)) : error.message;
    const { name: certificate, domains } = this.#terms;
    const fields = { certificate, domains: domains.join(','), failures: this.#failures, nextTry: dateText(this.#nextMs), reason: this.#lastError };
    if (this.#unsaved !== null) log.error(fields, 'the new certificate serves, but cannot be kept: a restart would order another');
    else if (this.#isPlaceholder) log.error(fields, 'no certificate could be ordered: clients see one that nobody vouches for');
    else if (this.#pair.notAfterMs <= wall()) log.error(fields, 'the certificate could not be ordered anew, and it has expired');
    else log.warn({ ...fields, notAfter: dateText(this.#pair.notAfterMs) }, 'the certificate could not be ordered anew: the old one serves on');
  }

  async #renew(): Promise<void> {
    const { store, log, ended, wall } = this.#means;
    const { name: certificate, domains, keyType, directoryUrl } = this.#terms;
    if (this.#unsaved !== null) {
      await this.#save(this.#unsaved);
      this.#schedule(this.#unsaved);
      this.#unsaved = null;
      return;
    }
    // Another process may have been here.
    const shared = (await store.certificates.all()).get(this.#id);
    const sharedPair = shared === undefined ? null : readPair(shared.chain, shared.key);
    if (sharedPair !== null && sharedPair.cert !== this.#pair.cert && this.#dueMs(sharedPair) > wall()) {
      this.#use(sharedPair);
      this.#schedule(sharedPair);
      return;
    }
    const client = await this.#client();
    const key = await makeKey(keyType);
    log.info({ certificate, domains: domains.join(','), directory: directoryUrl }, 'a certificate is ordered');
    const chain = await this.#order(client, key);
    const pair = readPair(chain, key.export({ type: 'pkcs8', format: 'pem' }) as string)!;
    this.#unsaved = pair;
    try {
      // Kept first: what serves is there after a restart, too.
      await this.#save(pair);
      this.#unsaved = null;
    } finally {
      this.#use(pair);
      ended(certificate, 'issued');
      log.info({ certificate, domains: domains.join(','), notAfter: dateText(pair.notAfterMs) }, 'a certificate came, and new connections get it');
    }
    this.#schedule(pair);
  }

  #use(pair: Pair): void {
    this.#pair = pair;
    this.#isPlaceholder = false;
    this.changed();
  }

  #schedule(pair: Pair): void {
    this.#failures = 0;
    this.#lastError = '';
    this.#nextMs = this.#dueMs(pair);
  }

  async #order(client: AcmeClient, key: Awaited<ReturnType<typeof makeKey>>): Promise<string> {
    const { solvers, limits, store, wall } = this.#means;
    if (client.accountUrl === null) await this.#enrol(client);
    for (let isSecond = false; ; isSecond = true) {
      await this.#takePlace();
      try {
        return await orderCertificate({ client, names: this.#terms.domains, key, solvers, limits, signal: this.#end.signal });
      } catch (error) {
        if (!(error instanceof AcmeError)) throw error;
        if (error.type === 'rateLimited') {
          const heldMs = Math.min(error.retryAfterMs ?? limits.rateLimitedMs, limits.rateLimitedMaxMs);
          await store.certificates.change((all) => all.set(this.#id, { ...recordOf(all, this.#id), heldUntilMs: wall() + heldMs }));
          throw new AcmeError(error.message, error.type, heldMs);
        }
        // A server that forgot us (a test server that began anew) is told again who we are.
        if (error.type !== 'accountDoesNotExist' || isSecond) throw error;
        await this.#enrol(client);
      }
    }
  }

  /** Counts an order before it is made, in the store, so that no crash makes it forgotten. @throws AcmeError when there have been enough */
  async #takePlace(): Promise<void> {
    const { store, limits, wall } = this.#means;
    const now = wall();
    const recent = (orders: readonly number[]): number[] => orders.filter((at) => at > now - HOUR_MS && at <= now);
    const untilMs = await store.certificates.change((all) => {
      const record = recordOf(all, this.#id);
      const own = recent(record.orders);
      const ofAll = [...all.values()].flatMap(({ orders }) => recent(orders)).toSorted((a, b) => a - b);
      // Not believed when it lies further ahead than any word that is: the clock was wrong then, or is now.
      if (record.heldUntilMs > now && record.heldUntilMs - now <= limits.rateLimitedMaxMs) return record.heldUntilMs;
      if (own.length >= limits.ordersPerHour) return own[0]! + HOUR_MS;
      if (ofAll.length >= limits.ordersPerHourOfAll) return ofAll[0]! + HOUR_MS;
      all.set(this.#id, { ...record, orders: [...own, now] });
      return 0;
    });
    if (untilMs > 0)
      throw new AcmeError(
        `there were as many orders as may be within an hour, or the server asked to be left alone: none before ${dateText(untilMs)}`,
        HELD,
        untilMs - now,
      );
  }

  async #client(): Promise<AcmeClient> {
    const { store, limits, wall } = this.#means;
    const { directoryUrl, ca, email, external } = this.#terms;
    const id = this.#accountId;
    let account = (await store.accounts.all()).get(id);
    if (account === undefined) {
      const key = (await makeKey('ecdsa')).export({ type: 'pkcs8', format: 'pem' }) as string;
      account = await store.accounts.change((all) => all.get(id) ?? all.set(id, { key, url: '' }).get(id)!);
    }
    const transport = new AcmeTransport(directoryUrl, ca, limits, this.#end.signal);
    const accountUrl = account.url === '' ? null : account.url;
    return new AcmeClient({ directoryUrl, transport, limits, key: createPrivateKey(account.key), accountUrl, email, external, wall });
  }

  async #enrol(client: AcmeClient): Promise<void> {
    const { store, log } = this.#means;
    const terms = await client.enrol();
    const url = client.accountUrl!;
    await store.accounts.change((all) => all.set(this.#accountId, { ...all.get(this.#accountId)!, url }));
    log.info({ directory: this.#terms.directoryUrl, account: url, terms }, 'an account for ordering certificates is ours; its terms are agreed to');
  }

  get #accountId(): string {
    const { directoryUrl, email, external } = this.#terms;
    return [directoryUrl, email ?? '', external?.kid ?? ''].join(' ').trimEnd();
  }

  async #save(pair: Pair): Promise<void> {
    const { store, limits, wall } = this.#means;
    await store.certificates.change((all) => {
      const longAgo = wall() - limits.forgetMs;
      for (const [id, { notAfterMs, orders, heldUntilMs }] of all) if (Math.max(notAfterMs, heldUntilMs, ...orders) < longAgo) all.delete(id);
      all.set(this.#id, { ...recordOf(all, this.#id), chain: pair.cert, key: pair.key, notAfterMs: pair.notAfterMs });
    });
  }

  /** When a certificate is to be ordered anew, wall-clock ms: never in the first half of its life, whatever is asked for. */
  #dueMs({ notBeforeMs, notAfterMs }: Pair): number {
    const { renewAfterShare, renewJitterShare } = this.#means.limits;
    const { renewBeforeMs } = this.#terms;
    const lifeMs = notAfterMs - notBeforeMs;
    const plainMs = renewBeforeMs === null ? notBeforeMs + lifeMs * renewAfterShare : Math.max(notAfterMs - renewBeforeMs, notBeforeMs + lifeMs / 2);
    return Math.min(plainMs + lifeMs * renewJitterShare * this.#chance, notAfterMs);
  }
}

const HOUR_MS = 3_600_000;
/** The type of our own refusal to order once more. */
const HELD = 'held';
/** Types of problems that say themselves for how long. */
const COUNTED: ReadonlySet<string> = new Set(['rateLimited', HELD]);
/** What a placeholder is good for, ms; clients do not believe it anyway. */
const PLACEHOLDER_MS = 365 * 86_400_000;

/** Under which a certificate is kept. */
function idOf({ directoryUrl, keyType, domains }: OrderTerms): string {
  return [directoryUrl, keyType, ...domains.toSorted()].join(' ');
}

/** Is that the id of another certificate from there, for some of the names? */
function isAkin(id: string, { directoryUrl, domains }: OrderTerms): boolean {
  const [directory, , ...names] = id.split(' ');
  return directory === directoryUrl && names.some((name) => domains.includes(name));
}

function recordOf(all: ReadonlyMap<string, CertificateRecord>, id: string): CertificateRecord {
  return all.get(id) ?? { chain: '', key: '', notAfterMs: 0, orders: [], heldUntilMs: 0 };
}

/** Null: it is none, or none that can be used. */
function readPair(cert: string, key: string): Pair | null {
  if (cert === '') return null;
  try {
    const first = new X509Certificate(cert);
    if (!first.checkPrivateKey(createPrivateKey(key))) return null;
    return { cert, key, notBeforeMs: Date.parse(first.validFrom), notAfterMs: Date.parse(first.validTo) };
  } catch {
    return null;
  }
}

function covers({ cert }: Pair, names: readonly string[]): boolean {
  const first = new X509Certificate(cert);
  return names.every((name) => first.checkHost(name) !== undefined);
}

async function placeholderFor(domains: readonly string[], now: number): Promise<Pair> {
  const key = await makeKey('ecdsa');
  const [notBeforeMs, notAfterMs] = [now - HOUR_MS, now + PLACEHOLDER_MS];
  const cert = makeCertificate({ names: domains, isAuthority: false, key, notBeforeMs, notAfterMs, issuer: null });
  return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }) as string, notBeforeMs, notAfterMs };
}

function dateText(ms: number): string {
  return new Date(ms).toISOString();
}
