import type { Counter } from '../observe/metrics.ts';
import type { Plugin } from './plugin.ts';

/** A plugin that the configuration made, with the number of exchanges that still know it. It outlives reloads that leave its settings alone. */
export class HostedPlugin {
  readonly name: string;
  readonly plugin: Plugin;
  readonly #errors: Counter;
  readonly #defect: (name: string, error: unknown) => void;
  #running = 0;
  #isRetired = false;

  constructor(name: string, plugin: Plugin, errors: Counter, defect: (name: string, error: unknown) => void) {
    this.name = name;
    this.plugin = plugin;
    this.#errors = errors;
    this.#defect = defect;
  }

  enter(): void {
    this.#running++;
  }

  leave(): void {
    if (--this.#running === 0 && this.#isRetired) this.#close();
  }

  /** No new exchange will know it. */
  retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    if (this.#running === 0) this.#close();
  }

  /** It threw: counted and logged. */
  failed(error: unknown): void {
    this.#errors.value++;
    this.#defect(this.name, error);
  }

  #close(): void {
    void (async () => this.plugin.close?.())().catch((error: unknown) => this.failed(error));
  }
}

/** What a location has its plugins do, sorted once: a phase that none of them has costs nothing. */
export class PluginChain {
  readonly plugins: readonly HostedPlugin[];
  /** Places in `plugins` of those with the phase, in the order in which it runs. */
  readonly request: readonly number[];
  readonly upstream: readonly number[];
  readonly response: readonly number[];
  readonly log: readonly number[];
  /** One of them may change bodies of requests. */
  readonly changesRequests: boolean;

  constructor(plugins: readonly HostedPlugin[]) {
    this.plugins = plugins;
    const having = (phase: 'request' | 'upstream' | 'response' | 'log'): number[] =>
      plugins.flatMap(({ plugin }, i) => (plugin[phase] === undefined ? [] : [i]));
    this.request = having('request');
    this.upstream = having('upstream');
    this.response = having('response').toReversed();
    this.log = having('log');
    this.changesRequests = plugins.some(({ plugin }) => plugin.changesRequests === true);
  }
}
