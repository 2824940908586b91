import { choice } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { longText } from '../../schema/long-text.ts';

/** Settings of a stored piece of configuration, section [storages.NAME]. */
export const storageTable = {
  category: setting<'config' | 'secret'>({
    kind: choice(['config', 'secret']),
    group: 'Storage',
    help: 'config: a piece of TOML that items take in by includes = ["NAME"]; secret: kept, not used',
    fallback: 'config',
  }),
  value: setting({
    kind: longText('TOML, such as connection_timeout = "3s"'),
    group: 'Storage',
    help: 'the keys that are taken in',
    fallback: '',
    fallbackText: 'none',
  }),
  secret: setting<string | null>({
    kind: longText('text'),
    group: 'Storage',
    help: 'accepted, without effect',
    fallback: null,
    fallbackText: 'none',
    secret: 'line',
  }),
} as const;
