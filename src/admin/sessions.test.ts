import { expect, test } from 'vitest';
import { adminLimits } from './limits.ts';
import type { Standing } from './people.ts';
import type { Role } from './route.ts';
import { Sessions } from './sessions.ts';
import { Tickets } from './tickets.ts';

const MINUTE = 60_000;

class MovedClock {
  ms = 1_000;
  now = (): number => this.ms;
  wall = (): number => this.ms;
}

const alice: Standing = { name: 'alice', role: () => 'admin' };

test('a session ends half an hour after its last use, and a day after its login whatever happens [threat 66]', () => {
  const clock = new MovedClock();
  const sessions = new Sessions(clock);
  const { id, session } = sessions.open(alice);
  clock.ms += 29 * MINUTE;
  expect(sessions.use(id)).toMatchObject({ role: 'admin' });
  clock.ms += 29 * MINUTE;
  // Looking whether it is there is no use of it.
  expect(sessions.roleOf(session)).toBe('admin');
  expect(sessions.leftMs(session)).toBe(MINUTE);
  clock.ms += MINUTE;
  expect(sessions.use(id)).toBeNull();
  expect(sessions.roleOf(session)).toBeNull();

  const long = sessions.open(alice);
  for (let minutes = 0; minutes < 24 * 60 - 20; minutes += 20) {
    clock.ms += 20 * MINUTE;
    expect(sessions.use(long.id)).not.toBeNull();
  }
  clock.ms += 20 * MINUTE;
  expect(sessions.use(long.id)).toBeNull();
});

test('ids are made here and are never two the same; what a session knows of its id cannot be used as one [threat 66]', () => {
  const sessions = new Sessions(new MovedClock());
  const made = Array.from({ length: 100 }, () => sessions.open(alice));
  expect(new Set(made.map(({ id }) => id)).size).toBe(100);
  expect(new Set(made.map(({ session }) => session.csrf)).size).toBe(100);
  for (const { id, session } of made) {
    expect(sessions.use(session.key)).toBeNull();
    expect(sessions.use(session.csrf)).toBeNull();
    expect(sessions.use(`${id}x`)).toBeNull();
  }
  expect(sessions.use('')).toBeNull();
});

test('a session is worth what its login is worth now, and nothing once it is closed', () => {
  const sessions = new Sessions(new MovedClock());
  let role: Role | null = 'admin';
  const { id, session } = sessions.open({ name: 'alice', role: () => role });
  role = 'read';
  expect(sessions.use(id)?.role).toBe('read');
  role = null;
  expect(sessions.use(id)).toBeNull();
  role = 'admin';
  // What was over once does not come back.
  expect(sessions.use(id)).toBeNull();
  expect(sessions.roleOf(session)).toBeNull();
  const other = sessions.open(alice);
  sessions.close(other.session);
  expect(sessions.use(other.id)).toBeNull();
});

test('there are only so many sessions: whoever was not here longest makes room', () => {
  const sessions = new Sessions(new MovedClock());
  const first = sessions.open(alice);
  const second = sessions.open(alice);
  for (let i = 2; i < adminLimits.sessions; i++) sessions.open(alice);
  sessions.use(first.id);
  sessions.open(alice);
  expect(sessions.use(first.id)).not.toBeNull();
  expect(sessions.use(second.id)).toBeNull();
});

test('a login link counts once, within five minutes, while who made it counts', () => {
  const clock = new MovedClock();
  const tickets = new Tickets(clock);
  const ticket = tickets.issue(alice);
  expect(tickets.redeem(`${ticket}x`)).toBeNull();
  expect(tickets.redeem(ticket)).toBe(alice);
  expect(tickets.redeem(ticket)).toBeNull();
  const late = tickets.issue(alice);
  clock.ms += adminLimits.ticketMs;
  expect(tickets.redeem(late)).toBeNull();
  let role: Role | null = 'admin';
  const gone = tickets.issue({ name: 'x', role: () => role });
  role = null;
  expect(tickets.redeem(gone)).toBeNull();
  const oldest = tickets.issue(alice);
  for (let i = 0; i < adminLimits.tickets; i++) tickets.issue(alice);
  expect(tickets.redeem(oldest)).toBeNull();
});
