import { orOff, path, toggle } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';

/** Flags of `windlass run`; all else stands in its file. */
export const gatewayRunTable = {
  useLastGood: setting({
    kind: toggle(),
    group: 'To start',
    help: 'when the configuration cannot be used, start with the one that served last',
    fallback: false,
    inFile: false,
  }),
  stateDir: setting<string | null>({
    kind: orOff(path()),
    group: 'To start',
    help: 'folder for a copy of the configuration that serves; off = none is kept',
    fallbackText: '$XDG_STATE_HOME/windlass or ~/.local/state/windlass',
    fallback: null,
    inFile: false,
  }),
} as const;
