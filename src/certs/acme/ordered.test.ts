import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { AcmeServer, type AcmeAsked, problem } from '../../../test/kit/acme-server.ts';
import { MemoryLog } from '../../../test/kit/tunnel.ts';
import { turns, until } from '../../../test/kit/until.ts';
import { MemoryRecords } from '../../store/memory-records.ts';
import { OrderDesk } from './desk.ts';
import { CHALLENGE_PATH, Http01Answers } from './http-01.ts';
import { acmeLimits, type AcmeLimits } from './limits.ts';
import { OrderedCertificate, type OrderMeans, type OrderTerms } from './ordered.ts';
import { type AcmeStore, openAcmeStore } from './records.ts';
import { AcmeTransport } from './transport.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end();
});

const QUICK: Partial<AcmeLimits> = { pollMs: 1, pollMaxMs: 5, retryMs: 1, retryMaxMs: 4, requestTimeoutMs: 2_000, orderTimeoutMs: 5_000 };

interface Stage {
  readonly server: AcmeServer;
  readonly log: MemoryLog;
  readonly store: AcmeStore;
  readonly answers: Http01Answers;
  readonly results: string[];
  /** Moves the clock. */
  readonly pass: (ms: number) => void;
  readonly order: (terms?: Partial<OrderTerms>, limits?: Partial<AcmeLimits>) => Promise<OrderedCertificate>;
}

async function stage(store?: AcmeStore): Promise<Stage> {
  const server = new AcmeServer();
  await server.listen();
  ends.push(() => server.close());
  const log = new MemoryLog();
  const answers = new Http01Answers();
  server.validate = (_name, token, proof) => Promise.resolve(answers.answerTo(`${CHALLENGE_PATH}${token}`) === proof);
  const results: string[] = [];
  const kept = store ?? { accounts: new MemoryRecords(), certificates: new MemoryRecords() };
  let passed = 0;
  const wall = (): number => Date.now() + passed;
  server.now = wall;
  const order: Stage['order'] = async (terms = {}, limits = {}) => {
    const means: OrderMeans = {
      store: kept,
      solvers: [answers],
      desk: new OrderDesk(2),
      limits: { ...acmeLimits, ...QUICK, ...limits },
      log,
      wall,
      random: () => 0.5,
      ended: (_name, result) => results.push(result),
    };
    const one = await OrderedCertificate.open(
      {
        name: 'site',
        domains: ['a.example.com', 'b.example.com'],
        isDefault: false,
        directoryUrl: server.directory,
        ca: null,
        email: null,
        external: null,
        keyType: 'ecdsa',
        renewBeforeMs: null,
        initial: null,
        ...terms,
      },
      means,
      await kept.certificates.all(),
    );
    ends.push(() => one.stop());
    return one;
  };
  return { server, log, store: kept, answers, results, pass: (ms) => void (passed += ms), order };
}

const said = (log: MemoryLog, text: string): boolean => log.lines.some(({ message }) => message.includes(text));
const issued = (one: OrderedCertificate): Promise<unknown> => until('a certificate', () => one.status.state === 'serving' && !one.status.isOrdering);
const reason = (one: OrderedCertificate): Promise<string> => until('a failure', () => one.status.lastError || null);

test('a certificate is ordered, proven over HTTP, kept, and serves in place of the placeholder', async () => {
  const { server, answers, order, store, results } = await stage();
  const one = await order({ email: 'ops@example.com' });
  const placeholder = new X509Certificate(one.cert);
  expect(placeholder.checkHost('b.example.com')).toBe('b.example.com');
  expect(one.status.state).toBe('placeholder');
  let told = 0;
  one.changed = () => told++;
  one.start();
  await issued(one);
  const first = new X509Certificate(one.cert);
  expect(first.verify(new X509Certificate(server.ca).publicKey)).toBe(true);
  expect(first.subjectAltName).toBe('DNS:a.example.com, DNS:b.example.com');
  expect(one.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  expect(told).toBe(1);
  expect(results).toEqual(['issued']);
  expect(server.enrolments).toEqual([{ termsOfServiceAgreed: true, contact: ['mailto:ops@example.com'] }]);
  // Nothing is shown any more, and nobody is expected.
  expect(answers.isWaiting).toBe(false);
  expect([...(await store.certificates.all()).values()]).toMatchObject([{ chain: one.cert, key: one.key, heldUntilMs: 0 }]);
  expect(one.status).toMatchObject({ failures: 0, lastError: '', isOrdering: false });
});

test('who starts again has the account and the certificate, and orders nothing until two thirds of its life are over', async () => {
  const { server, order, pass } = await stage();
  const before = await order();
  before.start();
  await issued(before);
  before.stop();
  const again = await order({}, { lookMs: 5 });
  expect(again.cert).toBe(before.cert);
  again.start();
  const { validFrom } = new X509Certificate(again.cert);
  expect((again.status.nextTryMs - Date.parse(validFrom)) / server.lifeMs).toBeCloseTo(2 / 3 + 0.01, 5);
  pass(server.lifeMs * 0.66);
  await turns(20);
  expect(again.status.isOrdering).toBe(false);
  expect(server.orders).toHaveLength(1);
  pass(server.lifeMs * 0.03);
  await until('another certificate', () => again.cert !== before.cert);
  expect(server.orders).toHaveLength(2);
  expect(server.enrolments).toHaveLength(1);
  expect(server.count(/^\/account$/)).toBe(1);
});

test('with another name a certificate is ordered for all, and the one that was serves until it comes', async () => {
  const { server, order } = await stage();
  const before = await order();
  before.start();
  await issued(before);
  before.stop();
  const more = await order({ domains: ['a.example.com', 'b.example.com', 'c.example.com'] });
  expect(more.cert).toBe(before.cert);
  more.start();
  await until('the new one', () => new X509Certificate(more.cert).checkHost('c.example.com'));
  expect(server.orders).toHaveLength(2);
});

test('a pair that is given serves until it is due', async () => {
  const { server, order, store } = await stage();
  const before = await order();
  before.start();
  await issued(before);
  before.stop();
  await store.certificates.change((all) => all.clear());
  const given = await order({ initial: { cert: before.cert, key: before.key } });
  expect(given.status).toMatchObject({ state: 'serving' });
  expect(given.status.nextTryMs).toBeGreaterThan(Date.now() + server.lifeMs / 2);
});

test('a refused nonce is used no more, and the request is made again', async () => {
  const { server, order } = await stage();
  let n = 0;
  server.fault = ({ path }) => (path !== '/nonce' && path !== '/dir' && n++ % 3 !== 2 ? problem(400, 'badNonce', 'no') : null);
  const one = await order();
  one.start();
  await issued(one);
  expect(server.orders).toHaveLength(1);
});

test('a server that refuses every nonce is given up', async () => {
  const { server, order } = await stage();
  server.fault = ({ path }) => (path === '/account' ? problem(400, 'badNonce', 'never') : null);
  const one = await order({}, { nonceTries: 3, retryMs: 60_000 });
  one.start();
  expect(await reason(one)).toContain('badNonce, never');
  expect(server.count(/^\/account$/)).toBe(3);
});

test('an account that the server has forgotten is made again with the same key', async () => {
  const { server, order, pass } = await stage();
  const one = await order({}, { lookMs: 5 });
  one.start();
  await issued(one);
  const { cert } = one;
  server.forget();
  pass(server.lifeMs * 0.7);
  await until('another certificate', () => one.cert !== cert);
  expect(server.count(/^\/account$/)).toBe(2);
});

test('an account elsewhere is bound to ours', async () => {
  const { server, order } = await stage();
  const one = await order({ external: { kid: 'kid-1', hmacKey: Buffer.from('0123456789abcdef0123456789abcdef').toString('base64url') } });
  one.start();
  await issued(one);
  const binding = server.enrolments[0]!['externalAccountBinding'] as { protected: string };
  expect(JSON.parse(Buffer.from(binding.protected, 'base64url').toString())).toEqual({ alg: 'HS256', kid: 'kid-1', url: `${server.url}/account` });
});

test.each<[string, (asked: AcmeAsked) => ReturnType<typeof problem> | 'hang' | null, string, Partial<AcmeLimits>]>([
  ['no directory', ({ path }) => (path === '/dir' ? { status: 404, body: 'gone' } : null), 'answered 404: no reason was given', {}],
  [
    'a directory that is none',
    ({ path }) => (path === '/dir' ? { status: 200, body: { newNonce: 'x' } } : null),
    'no ACME directory: it has no newAccount',
    {},
  ],
  ['junk for JSON', ({ path }) => (path === '/order' ? { status: 201, headers: { Location: '/' }, body: '<html>' } : null), 'what is no JSON', {}],
  [
    'an order that is none',
    ({ path }) => (path === '/order' ? { status: 201, headers: { Location: 'https://x/' }, body: [1] } : null),
    'what is no order',
    {},
  ],
  [
    'a certificate that is none',
    ({ path }) => (path.startsWith('/cert') ? { status: 200, body: 'junk' } : null),
    'a certificate that cannot be read',
    {},
  ],
  [
    'an address over the network in plain text',
    ({ path }) =>
      path === '/dir' ? { status: 200, body: { newNonce: 'http://example.com/', newAccount: 'http://example.com/', newOrder: '' } } : null,
    'no https:// URL',
    {},
  ],
  [
    'a token that is none',
    ({ path }) =>
      path.startsWith('/authz')
        ? {
            status: 200,
            body: {
              status: 'pending',
              identifier: { value: 'a.example.com' },
              challenges: [{ type: 'http-01', token: '../../x', url: 'https://x/' }],
            },
          }
        : null,
    'challenge for a.example.com cannot be used',
    {},
  ],
  [
    'no way that we know',
    ({ path }) =>
      path.startsWith('/authz')
        ? { status: 200, body: { status: 'pending', identifier: { value: 'a.example.com' }, challenges: [{ type: 'dns-01' }] } }
        : null,
    'proven only by dns-01, and here by http-01',
    {},
  ],
  [
    'an order that stays as it is',
    ({ path }) => (path === '/order/0' ? { status: 200, body: { status: 'processing', authorizations: [] } } : null),
    'the order was still processing after 300 ms',
    { orderTimeoutMs: 300 },
  ],
  ['an answer that never comes', ({ path }) => (path === '/order' ? 'hang' : null), 'did not answer within 200 ms', { requestTimeoutMs: 200 }],
  [
    'an answer without end',
    ({ path }) => (path === '/order' ? { status: 201, body: 'x'.repeat(5000) } : null),
    'more than 2000 bytes',
    { answerBytes: 2000 },
  ],
  [
    'a no with its reason on several lines',
    ({ path }) => (path === '/order' ? problem(403, 'caa', 'not\nfor\u0007 you') : null),
    'answered 403: caa, not for you; a CAA record of the name forbids this authority',
    {},
  ],
])('%s is told of in one line, and the placeholder serves on', async (_what, fault, told, limits) => {
  const { server, order, answers, log, results } = await stage();
  server.fault = fault;
  const one = await order({}, { retryMs: 60_000, retryMaxMs: 60_000, ...limits });
  one.start();
  expect(await reason(one)).toContain(told);
  expect(one.status).toMatchObject({ state: 'placeholder', failures: 1 });
  expect(one.status.lastError).not.toMatch(/\p{Cc}/u);
  expect(results).toEqual(['failed']);
  expect(answers.isWaiting).toBe(false);
  expect(said(log, 'no certificate could be ordered')).toBe(true);
});

test('a proof that fails is told of with the name and what can be done', async () => {
  const { server, order } = await stage();
  server.validate = (name) => Promise.resolve(name !== 'b.example.com');
  const one = await order({}, { retryMs: 60_000 });
  one.start();
  expect(await reason(one)).toMatch(/^the proof of b\.example\.com is invalid: unauthorized, wrong answer at b\.example\.com; each name must lead/);
});

test('a server that is not there is asked again, later and later, and found when it is back', async () => {
  const { server, order, log } = await stage();
  const { port } = server.server.address() as net.AddressInfo;
  server.close();
  const one = await order({ directoryUrl: `http://127.0.0.1:${port}/dir` });
  one.start();
  await until('three failures', () => one.status.failures >= 3);
  expect(one.status.lastError).toBe(`127.0.0.1:${port} refuses connections`);
  server.server.listen(port, '127.0.0.1');
  await issued(one);
  expect(said(log, 'a certificate came')).toBe(true);
});

test('within an hour only so many orders are made, whatever fails, also after a restart', async () => {
  const { server, order, pass } = await stage();
  server.validate = () => Promise.resolve(false);
  const one = await order();
  one.start();
  await until('enough', () => one.status.lastError.startsWith('there were as many orders'));
  expect(server.orders).toHaveLength(acmeLimits.ordersPerHour);
  one.stop();
  const again = await order({}, { lookMs: 5 });
  again.start();
  expect(await reason(again)).toMatch(/^there were as many orders/);
  expect(server.orders).toHaveLength(acmeLimits.ordersPerHour);
  expect(again.status.nextTryMs).toBeGreaterThan(Date.now() + 3_000_000);
  server.validate = () => Promise.resolve(true);
  pass(3_600_001);
  await issued(again);
});

test('a server that wants to be left alone is left alone for as long as it says, also after a restart', async () => {
  const { server, order, pass } = await stage();
  let isHeld = true;
  server.fault = ({ path }) => (path === '/order' && isHeld ? problem(429, 'rateLimited', 'too many', { 'Retry-After': '7200' }) : null);
  const one = await order();
  one.start();
  expect(await reason(one)).toContain('answered 429: rateLimited, too many');
  expect(one.status.nextTryMs).toBeGreaterThan(Date.now() + 7_000_000);
  one.stop();
  isHeld = false;
  const again = await order({}, { lookMs: 5 });
  again.start();
  expect(await reason(again)).toMatch(/^there were as many orders/);
  expect(server.count(/^\/order$/)).toBe(1);
  pass(7_201_000);
  await issued(again);
});

test('a server in trouble is not believed when it says that it wants to be left alone for a week', async () => {
  const { server, order } = await stage();
  server.fault = ({ path }) => (path === '/dir' ? { status: 503, headers: { 'Retry-After': '600000' }, body: 'later' } : null);
  const one = await order({}, { retryMs: 60_000, retryMaxMs: 3_600_000 });
  one.start();
  await reason(one);
  expect(one.status.nextTryMs).toBeGreaterThan(Date.now() + 3_500_000);
  expect(one.status.nextTryMs).toBeLessThanOrEqual(Date.now() + 3_600_000);
});

test('a server elsewhere sends nobody to what listens on this machine', async () => {
  const transport = new AcmeTransport('https://ca.example.com/dir', null, acmeLimits, new AbortController().signal);
  const { server } = await stage();
  expect(() => transport.ask('GET', server.directory, null, '*/*')).toThrow('no https:// URL');
  expect(server.asked).toEqual([]);
});

test('who is told to stop in the middle of an order stops, and shows nothing any more', async () => {
  const { server, order, answers, results } = await stage();
  let hung = false;
  server.fault = ({ path }) => {
    hung ||= path.startsWith('/challenge');
    return hung ? 'hang' : null;
  };
  const one = await order();
  one.start();
  await until('the proof', () => hung && answers.isWaiting);
  one.stop();
  await until('the end', () => !one.status.isOrdering);
  expect(answers.isWaiting).toBe(false);
  expect(results).toEqual([]);
  expect(one.status.failures).toBe(0);
});

test('account and certificates lie in files for their owner alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'windlass-acme-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  const store = await openAcmeStore(folder);
  const { order } = await stage(store);
  const one = await order();
  one.start();
  await issued(one);
  await until('the file', async () => [...(await store.certificates.all()).values()].some(({ chain }) => chain === one.cert));
  const files = readdirSync(join(folder, 'acme'));
  expect(files.toSorted()).toEqual(['accounts.json', 'certificates.json']);
  for (const file of files) expect(statSync(join(folder, 'acme', file)).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'acme')).mode & 0o777).toBe(0o700);
  writeFileSync(join(folder, 'acme', 'accounts.json'), '{}');
  await expect(openAcmeStore(folder)).rejects.toThrow('holds no ACME accounts');
});

test('a certificate that came and cannot be kept serves, and is kept as soon as that can be', async () => {
  const certificates = new MemoryRecords<never>();
  const change = certificates.change.bind(certificates);
  let isFull = false;
  certificates.change = (edit) => (isFull ? Promise.reject(new Error('the disk is full')) : change(edit));
  const { server, order, store, log } = await stage({ accounts: new MemoryRecords(), certificates });
  server.fault = ({ path }) => {
    isFull ||= path.startsWith('/cert');
    return null;
  };
  const one = await order();
  one.start();
  await until('the trouble', () => said(log, 'serves, but cannot be kept'));
  expect(one.status.state).toBe('serving');
  isFull = false;
  server.fault = () => null;
  await until('the record', async () => [...(await store.certificates.all()).values()].some(({ chain }) => chain === one.cert));
  expect(server.orders).toHaveLength(1);
});

test('of many that wait only so many are ordered at once', async () => {
  const desk = new OrderDesk(2);
  let running = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 6 }, () =>
      desk.run(async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
      }),
    ),
  );
  expect(most).toBe(2);
});
