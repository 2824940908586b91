import { randomBytes } from 'node:crypto';
import { keyedDigest } from '../std/keyed-digest.ts';
import type { Clock } from '../std/clock.ts';
import { CHECKS, CHECKS_WAITING, LN } from '../plugins/basic-auth/limits.ts';
import { isPassword, type PasswordHash } from '../plugins/basic-auth/password-hash.ts';
import { Tries } from '../plugins/basic-auth/tries.ts';
import { networkOf } from '../plugins/limit/key.ts';
import { adminLimits } from './limits.ts';
import type { People, Person } from './people.ts';
import { Problem } from './route.ts';

/** Lets people in who know their password. Whoever guesses waits, by name and by address; a name that there is not costs the same as one that there is. */
export class Login {
  readonly #people: People;
  readonly #tries: Tries;
  readonly #nameOf = keyedDigest();
  /** Checked when nobody may log in at all. */
  readonly #nobody: PasswordHash = { ln: LN, r: 8, p: 1, salt: randomBytes(16), hash: randomBytes(32) };
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(people: People, clock: Clock) {
    this.#people = people;
    this.#tries = new Tries(clock);
  }

  /** @throws Problem: 401, 429 with the time to wait, or 503 */
  async enter(user: string, password: string, client: string): Promise<Person> {
    const address = networkOf(client);
    const who = this.#nameOf(user);
    const heldMs = this.#tries.heldMs(address, who);
    if (heldMs > 0) {
      const retryAfterS = Math.ceil(heldMs / 1000);
      throw new Problem(429, 'too_many_tries', `Too many wrong passwords; try again in ${retryAfterS} s.`, { retryAfterS });
    }
    if (this.#waiting.length >= CHECKS_WAITING) throw new Problem(503, 'overload', 'Too many passwords are being checked.', { retryAfterS: 1 });
    const credential = this.#nameOf(`${user}\n${password}`);
    // Before it is known to be wrong: many at the same time must not all slip through.
    this.#tries.wrong(address, who, credential);
    const person = await this.#check(user, password, who);
    if (person === null) throw new Problem(401, 'wrong_password', 'User or password is wrong.');
    this.#tries.forgive(address, who, credential);
    this.#tries.right(address, who);
    return person;
  }

  async #check(user: string, password: string, who: string): Promise<Person | null> {
    if (this.#running < CHECKS) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const person = this.#people.find(user);
      const isTooLong = password.length > adminLimits.passwordCharacters;
      const given = Buffer.from(isTooLong ? '' : password, 'utf8');
      const isRight = await isPassword(given, person?.password ?? this.#people.decoy(who) ?? this.#nobody);
      return isRight && !isTooLong ? person : null;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
