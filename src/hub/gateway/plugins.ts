import type { Announced, Plugin, PluginContext } from '../../proxy/plugin.ts';
import { HostedPlugin, PluginChain } from '../../proxy/plugin-chain.ts';
import type { Counter, Family } from '../../observe/metrics.ts';
import { Wrong } from '../../schema/wrong.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import type { PluginItem } from '../../config/plugins.ts';
import { SettingsError } from '../../config/settings-error.ts';
import type { House } from '../house.ts';

/** A plugin in use. */
interface Used {
  readonly fingerprint: string;
  readonly hosted: HostedPlugin;
}

/** What a configuration has prepared: nobody sees it before commit(). */
export interface PreparedPlugins {
  /** Null: no plugins. */
  readonly chain: (names: readonly string[]) => PluginChain | null;
  commit(): void;
  abandon(): void;
}

/** The plugins of a gateway. One whose settings stay the same is the same instance after a reload, with its caches and counters. */
export class GatewayPlugins {
  readonly #house: House;
  readonly #announced: Announced;
  readonly #errors: Family<Counter>;
  #used = new Map<string, Used>();

  constructor(house: House, announced: Announced) {
    this.#house = house;
    this.#announced = announced;
    this.#errors = house.metrics.counters('windlass_plugin_errors_total', 'Requests that a plugin failed on.', ['plugin']);
  }

  /** Makes those that only the new settings have. @throws SettingsError when one cannot be made: a plugin is never left out */
  async prepare(settings: GatewaySettings): Promise<PreparedPlugins> {
    const before = this.#used;
    const made = new Map<string, Used>();
    const abandon = (): void => {
      for (const [name, { hosted }] of made) if (before.get(name)?.hosted !== hosted) hosted.retire();
    };
    const problems: string[] = [];
    for (const item of settings.plugins.values()) {
      const known = before.get(item.name);
      if (known?.fingerprint === item.fingerprint) {
        made.set(item.name, known);
        continue;
      }
      try {
        const plugin = await item.definition.create(item.values, this.#contextOf(item));
        made.set(item.name, { fingerprint: item.fingerprint, hosted: this.#host(item.name, plugin) });
      } catch (error) {
        problems.push(`plugins.${item.name} cannot be made: ${error instanceof Wrong ? `${error.message}; ${error.fix}` : (error as Error).message}`);
      }
    }
    if (problems.length > 0) {
      abandon();
      throw new SettingsError(problems);
    }
    return {
      chain: (names) => (names.length === 0 ? null : new PluginChain(names.map((name) => made.get(name)!.hosted))),
      commit: () => {
        this.#used = made;
        for (const [name, { hosted }] of before) if (made.get(name)?.hosted !== hosted) hosted.retire();
      },
      abandon,
    };
  }

  #contextOf({ name, step }: PluginItem): PluginContext {
    const { log, loop, metrics } = this.#house;
    return { name, step, log: log.child({ plugin: name }), clock: loop.clock, metrics, announced: this.#announced };
  }

  #host(name: string, plugin: Plugin): HostedPlugin {
    return new HostedPlugin(name, plugin, this.#errors.with(name), (which, error) =>
      this.#house.log.error(
        { plugin: which, error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
        'a plugin failed on a request',
      ),
    );
  }

  /** Ends all. */
  close(): void {
    for (const { hosted } of this.#used.values()) hosted.retire();
    this.#used.clear();
  }
}
