import { type KeyObject, X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { certificateRequest } from '../csr.ts';
import type { AcmeClient, AcmeObject } from './client.ts';
import type { AcmeLimits } from './limits.ts';
import { AcmeError, fieldOf, printable, problemOf } from './problem.ts';
import type { Challenge, ChallengeSolver } from './solver.ts';

export interface OrderOptions {
  readonly client: AcmeClient;
  /** Lower case. */
  readonly names: readonly string[];
  /** Of the certificate. */
  readonly key: KeyObject;
  /** In order of preference. */
  readonly solvers: readonly ChallengeSolver[];
  readonly limits: AcmeLimits;
  /** Calls it off. */
  readonly signal: AbortSignal;
}

/** Orders a certificate, proves the names, and fetches it. @returns the chain, PEM. @throws AcmeError */
export async function orderCertificate(options: OrderOptions): Promise<string> {
  const { client, names, key, limits } = options;
  const late = AbortSignal.any([options.signal, AbortSignal.timeout(limits.orderTimeoutMs)]);
  const work: Work = { ...options, late };
  const placed = await client.order(names);
  const orderUrl = placed.location;
  if (orderUrl === '') throw new AcmeError('the server took the order and did not say where it is');
  const { authorizations } = orderOf(placed);
  for (const url of authorizations) await prove(work, url);
  // Ready as soon as the last name is proven, or a moment later.
  const ready = await poll(work, orderUrl, 'the order', (status) => status === 'ready' || status === 'valid');
  let order = orderOf(ready);
  if (order.status === 'ready') {
    if (order.finalize === '') throw new AcmeError('the server does not say where the request is to go');
    await client.post(order.finalize, { csr: certificateRequest(names, key).toString('base64url') });
    order = orderOf(await poll(work, orderUrl, 'the certificate', (status) => status === 'valid'));
  }
  if (order.certificate === '') throw new AcmeError('the server does not say where the certificate is');
  const chain = await client.certificate(order.certificate);
  check(chain, names, key);
  return chain;
}

interface Work extends OrderOptions {
  /** Called off, or over time. */
  readonly late: AbortSignal;
}

/** Proves one name, unless that has been done before. */
async function prove(work: Work, url: string): Promise<void> {
  const { client, solvers } = work;
  const { value } = await client.post(url, null);
  const name = fieldOf(fieldOf(value, 'identifier'), 'value');
  if (typeof name !== 'string') throw new AcmeError('the server asks for a proof and does not say of what');
  const status = fieldOf(value, 'status');
  if (status === 'valid') return;
  const list = fieldOf(value, 'challenges');
  const offered: readonly unknown[] = Array.isArray(list) ? list : [];
  for (const solver of solvers) {
    const found = offered.find((one) => fieldOf(one, 'type') === solver.type);
    if (found === undefined) continue;
    const [token, at] = [fieldOf(found, 'token'), fieldOf(found, 'url')];
    // It becomes part of a path, and of an answer (RFC 8555 8.3).
    if (typeof token !== 'string' || !/^[\w-]{1,200}$/.test(token) || typeof at !== 'string')
      throw new AcmeError(`the server's challenge for ${printable(name)} cannot be used`);
    const challenge: Challenge = { name, token, keyAuthorization: await client.keyAuthorization(token) };
    await solver.present(challenge);
    try {
      await client.post(at, {});
      await poll(work, url, `the proof of ${printable(name)}`, (now) => now === 'valid', problemIn);
    } finally {
      await solver.cleanUp(challenge);
    }
    return;
  }
  const types = offered.map((one) => fieldOf(one, 'type')).filter((type) => typeof type === 'string');
  throw new AcmeError(
    `${printable(name)} can be proven only by ${printable(types.join(', ')) || 'nothing'}, and here by ${solvers.map(({ type }) => type).join(', ')}`,
  );
}

/** Asks again and again until it is done. */
async function poll(
  { client, limits, late, signal }: Work,
  url: string,
  what: string,
  isDone: (status: unknown) => boolean,
  reasonOf: (value: unknown) => unknown = (value) => fieldOf(value, 'error'),
): Promise<AcmeObject> {
  for (let waitMs = limits.pollMs; ; waitMs = Math.min(waitMs * 2, limits.pollMaxMs)) {
    const answer = await client.post(url, null);
    const status = fieldOf(answer.value, 'status');
    if (isDone(status)) return answer;
    if (status !== 'pending' && status !== 'processing' && status !== 'ready') {
      const reason = reasonOf(answer.value);
      const said = `${what} is ${typeof status === 'string' ? printable(status) : 'in no state that is known'}`;
      throw reason === undefined ? new AcmeError(said) : problemOf(reason, said, answer.retryAfterMs);
    }
    try {
      await sleep(Math.min(answer.retryAfterMs ?? waitMs, limits.pollMaxMs), undefined, { signal: late, ref: false });
    } catch {
      throw new AcmeError(signal.aborted ? 'the order was called off' : `${what} was still ${printable(status)} after ${limits.orderTimeoutMs} ms`);
    }
  }
}

/** Which challenge of an authorization failed, and why. */
function problemIn(authorization: unknown): unknown {
  const list = fieldOf(authorization, 'challenges');
  const failed = (Array.isArray(list) ? list : []).find((one: unknown) => fieldOf(one, 'error') !== undefined) as unknown;
  return fieldOf(failed, 'error');
}

interface Order {
  readonly status: string;
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate: string;
}

function orderOf({ value }: AcmeObject): Order {
  const list = fieldOf(value, 'authorizations');
  const text = (name: string): string => {
    const field = fieldOf(value, name);
    return typeof field === 'string' ? field : '';
  };
  if (text('status') === '' || !Array.isArray(list)) throw new AcmeError('the server answered with what is no order');
  return {
    status: text('status'),
    authorizations: list.filter((url): url is string => typeof url === 'string'),
    finalize: text('finalize'),
    certificate: text('certificate'),
  };
}

/** What came is what was ordered, or it is not used. */
function check(chain: string, names: readonly string[], key: KeyObject): void {
  let first: X509Certificate;
  try {
    first = new X509Certificate(chain);
  } catch {
    throw new AcmeError('the server sent a certificate that cannot be read');
  }
  if (!first.checkPrivateKey(key)) throw new AcmeError('the server sent a certificate for another key');
  const lacking = names.find((name) => first.checkHost(name) === undefined);
  if (lacking !== undefined) throw new AcmeError(`the server sent a certificate that is not for ${lacking}`);
}
