import { afterEach, expect, test, vi } from 'vitest';
import { cheapHash } from '../../test/kit/password.ts';
import { nullLog } from '../observe/log.ts';
import { parsePasswordHash } from '../plugins/basic-auth/password-hash.ts';
import { MemoryRecords } from '../store/memory-records.ts';
import { AuditLog } from './audit.ts';
import { Broadcast } from './broadcast.ts';
import { adminLimits } from './limits.ts';
import { Login } from './login.ts';
import { People } from './people.ts';
import { type TokenRecord, Tokens } from './tokens.ts';

afterEach(() => void vi.useRealTimers());

const clock = { now: () => 1_000, wall: () => 1_000 };

test('a password may be so long, and one character more is wrong even where its beginning is right', async () => {
  const password = 'x'.repeat(adminLimits.passwordCharacters);
  const people = new People();
  const hash = (text: string) => parsePasswordHash(cheapHash(text));
  people.renew(
    new Map([
      ['alice', { name: 'alice', role: 'read', password: hash(password) }],
      ['bob', { name: 'bob', role: 'read', password: hash(`${password}x`) }],
    ]),
  );
  const login = new Login(people, clock);
  expect((await login.enter('alice', password, '192.0.2.1')).name).toBe('alice');
  await expect(login.enter('alice', `${password}x`, '192.0.2.1')).rejects.toMatchObject({ status: 401 });
  await expect(login.enter('bob', `${password}x`, '192.0.2.2')).rejects.toMatchObject({ status: 401 });
});

test('a text of the audit log may be so long, and what is longer is cut and shows it', () => {
  const audit = new AuditLog(null, clock, nullLog);
  const most = 'x'.repeat(adminLimits.auditCharacters);
  for (const subject of [most, `${most}y`])
    audit.done({ asker: { name: 'alice', role: 'admin', by: 'session' }, address: '192.0.2.1', action: 'POST /x', subject, status: 200, detail: '' });
  expect(audit.page(10, Number.MAX_SAFE_INTEGER).items.map(({ subject }) => subject)).toEqual([`${most}…`, most]);
});

test('changes of one kind are told together when their time is over, and not before', () => {
  vi.useFakeTimers();
  const broadcast = new Broadcast(null);
  const told: unknown[] = [];
  broadcast.join({ send: (_event, data) => told.push(data), end: () => {} });
  broadcast.changed('agents');
  vi.advanceTimersByTime(adminLimits.changesMs - 1);
  broadcast.changed('agents');
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual([{ what: 'agents' }]);
  vi.advanceTimersByTime(10 * adminLimits.changesMs);
  expect(told).toHaveLength(1);
  broadcast.close();
});

test('when a token was used last is written down once in a while, however often it is used', async () => {
  vi.useFakeTimers();
  const records = new MemoryRecords<TokenRecord>();
  const tokens = new Tokens(records, clock, nullLog);
  await tokens.open();
  const { token } = await tokens.issue('ci', 'read', 0);
  const written = async (): Promise<number[]> => [...(await records.all()).values()].map(({ lastUsedAtMs }) => lastUsedAtMs);
  for (let i = 0; i < 100; i++) tokens.use(token);
  await vi.advanceTimersByTimeAsync(adminLimits.tokenUsesMs - 1);
  expect(await written()).toEqual([0]);
  // Who asks is told at once.
  expect(tokens.list()[0]!.lastUsedAtMs).toBe(1_000);
  await vi.advanceTimersByTimeAsync(1);
  expect(await written()).toEqual([1_000]);
  tokens.close();
});
