import { fileURLToPath } from 'node:url';
import { secretCheck } from '../std/secret.ts';
import type { Handler } from '../http/exchange.ts';
import type { Address } from '../schema/address.ts';
import { AdminApi } from '../admin/api.ts';
import { ConsoleDoor } from '../admin/console.ts';
import { Files } from '../admin/files.ts';
import { LocalToken } from '../admin/local-token.ts';
import { bearerOf, type Prove } from '../admin/proof.ts';
import type { AdminRoute } from '../admin/route.ts';
import type { House } from './house.ts';

/** What of the program the console shows and changes. What is absent is not there, and its routes neither. */
export interface Backends {
  // Each resource adds one member here, and its routes below.
}

/** What a console is made of. */
export interface ConsoleOptions extends Backends {
  /** Where tokens, the audit log and the local token lie; null = nowhere, and what was kept is lost at the end. */
  readonly stateDir: string | null;
}

/** The console of a program: made once, for all places at which it stands. */
export class Console {
  readonly #house: House;
  readonly #options: ConsoleOptions;
  readonly #api: AdminApi;
  readonly #files = new Files(uiFolder());
  readonly #local = new LocalToken();
  readonly routes: readonly AdminRoute[];

  constructor(house: House, options: ConsoleOptions) {
    this.#house = house;
    this.#options = options;
    this.routes = routesOf(options);
    const isLocal = secretCheck(this.#local.token);
    const prove: Prove = (head) => {
      const token = bearerOf(head);
      return token !== null && isLocal(token) ? { asker: { name: 'local', role: 'admin', by: 'token' }, csrf: '', stands: () => true } : null;
    };
    this.#api = new AdminApi({ loop: house.loop, routes: this.routes, prove, done: () => {}, defect: house.defect });
  }

  /** The console at a place: under `base`, '' = all paths. `onlyLoopback`: see HostRule. */
  at(base: string, onlyLoopback: boolean): Handler {
    return new ConsoleDoor({ api: this.#api, files: this.#files }, base, { names: new Set(), onlyLoopback });
  }

  /** The listener for operators is there: from now on commands of this machine find their way in. */
  opened({ port }: Address): void {
    const { stateDir } = this.#options;
    if (stateDir === null) return;
    try {
      this.#local.leave(stateDir, port);
    } catch (error) {
      this.#house.log.warn(
        { error: (error as Error).message },
        'no local token could be left: commands such as windlass status need --admin-token-file',
      );
    }
  }

  /** What it shows has changed: pages that are open hear of it. */
  changed(_what: 'config' | 'agents' | 'upstreams' | 'certificates' | 'queue'): void {}

  close(): void {
    this.#local.remove();
  }
}

/** All that this console can do. */
function routesOf(_backends: Backends): readonly AdminRoute[] {
  return [];
}

/** Beside the program as it is built; in development where the build puts it. */
function uiFolder(): string {
  const here = import.meta.url;
  return fileURLToPath(new URL(here.endsWith('.ts') ? '../../dist/ui' : '../ui', here));
}
