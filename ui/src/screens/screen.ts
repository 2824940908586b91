import type { ComponentType } from 'preact';
import type { Info } from '../../../src/admin/model.ts';
import type { IconName } from '../design/icon.tsx';

/** What a screen is given: the place behind its name, `#/agents/ID?state=away`. */
export interface ScreenProps {
  readonly rest: readonly string[];
  readonly query: URLSearchParams;
}

/** A screen of the console. Its name in both languages stands in shell/en.ts and zh.ts under `nav`. */
export interface Screen {
  readonly id: ScreenId;
  readonly icon: IconName;
  readonly group: 'watch' | 'change' | 'system';
  /** `g` and this letter go there. */
  readonly letter: string;
  /** Is it there with this server? Absent: always. */
  readonly shown?: (info: Info) => boolean;
  /** Its code comes when it is first shown. */
  readonly load: () => Promise<{ readonly default: ComponentType<ScreenProps> }>;
}

export type ScreenId = 'overview' | 'traffic' | 'agents' | 'queue' | 'upstreams' | 'routing' | 'configuration' | 'certificates' | 'logs' | 'settings';
