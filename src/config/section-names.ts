/** Sections of a configuration file. */
export interface Sections {
  /** Those that are one table. */
  readonly single: readonly string[];
  /** Those of named items. */
  readonly named: readonly string[];
  /** Those of other commands, in the same file. */
  readonly foreign: readonly string[];
  /** Where keys outside of any section belong. */
  readonly topLevel: string;
}

/** What `windlass run` reads, and passes over. */
export const gatewaySections: Sections = {
  single: ['basic', 'agents'],
  // proxy_plugins is what plugins were called in April 2024.
  named: ['servers', 'locations', 'upstreams', 'plugins', 'proxy_plugins', 'certificates', 'admins', 'notifications', 'storages'],
  foreign: ['hub', 'agent', 'proxy'],
  topLevel: 'basic',
};

/** Every section that a file may have. */
export const allSections: readonly string[] = [...gatewaySections.foreign, ...gatewaySections.single, ...gatewaySections.named];

/** For messages. */
export const sectionsToday: readonly string[] = allSections.filter((name) => name !== 'proxy_plugins');
