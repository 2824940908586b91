import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { CertificateInfo } from '../../admin/model.ts';
import { makeCertificate } from '../../certs/certificate.ts';
import { ConsoleCertificates } from './certificates.ts';
import type { ShownCertificate } from '../gateway/certificates.ts';
import type { OrderReport } from '../made-certificates.ts';

const pem = (name: string): string => readFileSync(new URL(`../../../test/fixtures/${name}`, import.meta.url), 'latin1');
const DAY_MS = 86_400_000;
const ORDER: OrderReport = { state: 'serving', isOrdering: false, failures: 0, lastError: '', nextTry: '' };

async function shown(
  one: Partial<ShownCertificate>,
  { order, now = Date.now() }: { order?: Partial<OrderReport>; now?: number } = {},
): Promise<CertificateInfo> {
  const all: ShownCertificate[] = [{ label: 'certificates.x', source: 'file', cert: pem('one.pem'), usedBy: ['main'], problem: '', ...one }];
  const certificates = new ConsoleCertificates({
    shown: () => all,
    orderOf: () => (order === undefined ? undefined : { ...ORDER, ...order }),
    clock: { now: () => 0, wall: () => now },
  });
  return (await certificates.list({ offset: 0, limit: 10 })).items[0]!;
}

test('says what stands in a certificate', async () => {
  const info = await shown({});
  expect(info).toMatchObject({
    name: 'certificates.x',
    subject: 'CN=one.test',
    names: ['localhost', 'hub.test', '127.0.0.1'],
    usedBy: ['main'],
    problem: '',
  });
  expect(info.fingerprint).toMatch(/^(?:[\dA-F]{2}:){31}[\dA-F]{2}$/);
  expect(info.notAfterMs).toBeGreaterThan(info.notBeforeMs);
});

test('one whose names are only alternative ones has no subject, and is shown all the same', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`;
  const cert = makeCertificate({ names: [name], isAuthority: false, key: privateKey, notBeforeMs: 0, notAfterMs: 2e12, issuer: null });
  expect(await shown({ cert })).toMatchObject({ subject: '', issuer: '', names: [name] });
});

test('says what is wrong with one, the worst first', async () => {
  const { notAfterMs, notBeforeMs } = await shown({});
  for (const [one, more, problem] of [
    [{}, { now: notAfterMs + 1 }, 'it has expired'],
    [{}, { now: notBeforeMs - 1 }, 'it is not valid yet'],
    [{}, { now: notAfterMs - 2.5 * DAY_MS }, 'it expires in 3 days'],
    [{}, { now: notAfterMs - 8 * DAY_MS }, ''],
    [{ problem: 'key.pem does not exist' }, {}, 'the new one cannot be used: key.pem does not exist'],
    [{ problem: 'x' }, { now: notAfterMs + 1 }, 'it has expired'],
    [
      {},
      { order: { state: 'placeholder', lastError: 'no such name' } },
      'it has not been issued yet, and no client believes the one in its place: no such name',
    ],
    [{}, { order: { failures: 2, lastError: 'rate limited' } }, 'it could not be renewed 2 times: rate limited'],
    [{}, { order: { failures: 1, lastError: 'x' } }, 'it could not be renewed once: x'],
    // One that is ordered anew in time is no worry of anybody's.
    [{}, { order: {}, now: notAfterMs - 2 * DAY_MS }, ''],
  ] as const)
    expect((await shown(one, more)).problem).toBe(problem);
});

test('reads a certificate once, and anew when it is another', async () => {
  let reads = 0;
  let cert = pem('one.pem');
  const certificates = new ConsoleCertificates({
    shown: () => [
      {
        label: 'x',
        source: 'file',
        get cert() {
          reads++;
          return cert;
        },
        usedBy: [],
        problem: '',
      },
    ],
    orderOf: () => undefined,
    clock: { now: () => 0, wall: () => Date.now() },
  });
  const list = async () => (await certificates.list({ offset: 0, limit: 1 })).items[0]!.subject;
  expect([await list(), await list()]).toEqual(['CN=one.test', 'CN=one.test']);
  cert = pem('two.pem');
  expect(await list()).toBe('CN=two.test');
  expect(reads).toBe(3);
});

test('those that end first are first, and pages fit together', async () => {
  const certs = ['one.pem', 'expired.pem', 'two.pem', 'ca.pem'];
  const certificates = new ConsoleCertificates({
    shown: () => certs.map((name) => ({ label: name, source: 'server', cert: pem(name), usedBy: [], problem: '' })),
    orderOf: () => undefined,
    clock: { now: () => 0, wall: () => Date.now() },
  });
  const { total, items } = await certificates.list({ offset: 0, limit: 10 });
  expect([total, items[0]!.name, items[0]!.problem]).toEqual([4, 'expired.pem', 'it has expired']);
  const pages = [...(await certificates.list({ offset: 0, limit: 3 })).items, ...(await certificates.list({ offset: 3, limit: 3 })).items];
  expect(pages).toEqual(items);
  expect(JSON.stringify(items)).not.toContain('BEGIN');
});
