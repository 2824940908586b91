import { expect, test } from 'vitest';
import { cheapHash } from '../../test/kit/password.ts';
import { parsePasswordHash } from '../plugins/basic-auth/password-hash.ts';
import { Login } from './login.ts';
import { People, type Person } from './people.ts';
import type { Problem } from './route.ts';

class MovedClock {
  ms = 1_000;
  now = (): number => this.ms;
  wall = (): number => this.ms;
}

const hash = parsePasswordHash(cheapHash('right'));

function start(names: readonly string[] = ['alice', 'bob']): { login: Login; clock: MovedClock; people: People } {
  const clock = new MovedClock();
  const people = new People();
  people.renew(new Map(names.map((name): [string, Person] => [name, { name, role: 'read', password: hash }])));
  return { login: new Login(people, clock), clock, people };
}

const statusOf = (login: Login, user: string, password: string, address: string): Promise<number> =>
  login.enter(user, password, address).then(
    () => 200,
    (problem: Problem) => problem.status,
  );

test('who guesses waits longer and longer, by address and by name; who was right from there before is not kept out by others [threat 65]', async () => {
  const { login, clock } = start();
  expect(await statusOf(login, 'alice', 'right', '192.0.2.9')).toBe(200);
  for (let i = 0; i < 5; i++) expect(await statusOf(login, 'alice', `wrong ${i}`, '192.0.2.1')).toBe(401);
  // This address waits for every name, and this name for every address that it was not right from.
  expect(await statusOf(login, 'bob', 'right', '192.0.2.1')).toBe(429);
  expect(await statusOf(login, 'alice', 'right', '192.0.2.2')).toBe(429);
  expect(await statusOf(login, 'alice', 'right', '192.0.2.9')).toBe(200);
  expect(await statusOf(login, 'bob', 'right', '192.0.2.2')).toBe(200);
  clock.ms += 2_001;
  expect(await statusOf(login, 'alice', 'wrong 6', '192.0.2.1')).toBe(401);
  clock.ms += 1_001;
  expect(await statusOf(login, 'alice', 'right', '192.0.2.1')).toBe(429);
  clock.ms += 1_000;
  expect(await statusOf(login, 'alice', 'right', '192.0.2.1')).toBe(200);
});

test('many guesses at the same time are no more than one after the other, and addresses of one IPv6 network are one [threat 65]', async () => {
  const { login } = start();
  const statuses = await Promise.all(Array.from({ length: 20 }, (_, i) => statusOf(login, 'alice', `wrong ${i}`, `2001:db8::${i + 1}`)));
  expect(statuses.filter((status) => status === 401)).toHaveLength(5);
  expect(statuses.filter((status) => status === 429)).toHaveLength(15);
});

test('a name that nobody has is checked like one that somebody has, and neither is told [threat 64]', async () => {
  const { login, people } = start(['alice']);
  const problem = (user: string): Promise<string> =>
    login.enter(user, 'wrong', '192.0.2.1').then(
      () => '',
      ({ status, code, detail }: Problem) => `${status} ${code} ${detail}`,
    );
  expect(await problem('nobody')).toBe(await problem('alice'));
  // What is checked for nobody is a hash that is there: of several that cost more and less, now one and now another, but for one name always the same.
  expect(people.decoy('AAAAAA')).toBe(hash);
  const dear = { ...hash, ln: hash.ln + 1 };
  people.renew(new Map([hash, dear].map((password, i): [string, Person] => [`${i}`, { name: `${i}`, role: 'read', password }])));
  expect(['AAAAAA', 'AQAAAA', 'AgAAAA', 'AAAAAA'].map((seed) => people.decoy(seed))).toEqual([hash, dear, hash, hash]);
  const empty = start([]);
  expect(await statusOf(empty.login, 'alice', 'right', '192.0.2.1')).toBe(401);
});

test('a password that is too long to be one is wrong', async () => {
  const { login } = start();
  expect(await statusOf(login, 'alice', 'x'.repeat(2_000), '192.0.2.1')).toBe(401);
});
