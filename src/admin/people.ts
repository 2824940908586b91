import type { PasswordHash } from '../plugins/basic-auth/password-hash.ts';
import type { Role } from './route.ts';

/** Somebody who logs in. */
export interface Person {
  readonly name: string;
  readonly role: Role;
  readonly password: PasswordHash;
}

/** What a login rests on: a person, a token, or the one who made a link. Whoever is taken away is out at once, and a role that changes counts at once. */
export interface Standing {
  readonly name: string;
  /** Null: no more. */
  role(): Role | null;
}

/** Those who may log in now: the configuration says who. */
export class People {
  #all: ReadonlyMap<string, Person> = new Map();

  renew(all: ReadonlyMap<string, Person>): void {
    this.#all = all;
  }

  get size(): number {
    return this.#all.size;
  }

  find(name: string): Person | null {
    return this.#all.get(name) ?? null;
  }

  /** Whose password takes longest to check: what is checked for somebody whom nobody knows. */
  get slowest(): PasswordHash | null {
    let slowest: PasswordHash | null = null;
    for (const { password } of this.#all.values()) if (slowest === null || costOf(password) > costOf(slowest)) slowest = password;
    return slowest;
  }

  /** Of somebody who has shown the password; with another password it is another one. */
  standingOf({ name, password }: Person): Standing {
    return {
      name,
      role: () => {
        const now = this.#all.get(name);
        return now !== undefined && now.password.hash.equals(password.hash) && now.password.salt.equals(password.salt) ? now.role : null;
      },
    };
  }
}

function costOf({ ln, r, p }: PasswordHash): number {
  return 2 ** ln * r * p;
}
