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

  /**
   * What is checked for a name that nobody has: the hash of one of those who are there, always the same one for a name. Were it the costliest, a name that
   * has a cheaper one would be told apart by its time. `seed`: a digest of the name that nobody else can make, in base64.
   */
  decoy(seed: string): PasswordHash | null {
    const all = [...this.#all.values()];
    return all[Buffer.from(seed, 'base64').readUInt32LE(0) % all.length]?.password ?? null;
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
