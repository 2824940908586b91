import { CHECKS, CHECKS_WAITING, RIGHT } from './limits.ts';
import { isPassword, type PasswordHash } from './password-hash.ts';

/** Users with hashed passwords. A check takes 50 ms of another thread, so what was right once is remembered by a digest that means nothing outside. */
export class Passwords {
  /** By name as field text. */
  readonly #users: ReadonlyMap<string, PasswordHash>;
  /** Checked for users that are not there, so that they cost the same. */
  readonly #anybody: PasswordHash;
  readonly #right = new Set<string>();
  readonly #pending = new Map<string, Promise<boolean>>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param users at least one */
  constructor(users: ReadonlyMap<string, PasswordHash>) {
    this.#users = users;
    const [first] = users.values();
    this.#anybody = first!;
  }

  /** Is it known to be right already? `credential`: a digest of both. */
  isRight(credential: string): boolean {
    return this.#right.has(credential);
  }

  /** Is nobody let in to be checked any more? */
  get isFull(): boolean {
    return this.#waiting.length >= CHECKS_WAITING;
  }

  /** A check of the same that runs already; null = none. */
  pending(credential: string): Promise<boolean> | null {
    return this.#pending.get(credential) ?? null;
  }

  /** User and password are field text (Latin-1). */
  check(user: string, password: string, credential: string): Promise<boolean> {
    const checked = this.#run(user, password, credential).finally(() => this.#pending.delete(credential));
    this.#pending.set(credential, checked);
    return checked;
  }

  async #run(user: string, password: string, credential: string): Promise<boolean> {
    if (this.#running < CHECKS) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const known = this.#users.get(user);
      const fits = await isPassword(Buffer.from(password, 'latin1'), known ?? this.#anybody);
      if (!fits || known === undefined) return false;
      if (this.#right.size >= RIGHT) this.#right.delete(this.#right.values().next().value!);
      this.#right.add(credential);
      return true;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
