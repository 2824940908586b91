import type { Screen } from './screen.ts';

/** All screens, in the order of the sidebar. */
export const SCREENS: readonly Screen[] = [
  { id: 'overview', icon: 'overview', group: 'watch', letter: 'o', load: () => import('./overview/screen.tsx') },
  { id: 'traffic', icon: 'traffic', group: 'watch', letter: 't', load: () => import('./traffic/screen.tsx') },
  { id: 'agents', icon: 'agents', group: 'watch', letter: 'a', load: () => import('./agents/screen.tsx') },
  { id: 'queue', icon: 'queue', group: 'watch', letter: 'q', load: () => import('./queue/screen.tsx') },
  { id: 'upstreams', icon: 'upstreams', group: 'watch', letter: 'u', load: () => import('./upstreams/screen.tsx') },
  {
    id: 'routing',
    icon: 'routing',
    group: 'change',
    letter: 'r',
    shown: ({ kind }) => kind === 'gateway',
    load: () => import('./routing/screen.tsx'),
  },
  {
    id: 'configuration',
    icon: 'configuration',
    group: 'change',
    letter: 'c',
    shown: ({ kind }) => kind === 'gateway',
    load: () => import('./configuration/screen.tsx'),
  },
  { id: 'certificates', icon: 'certificates', group: 'change', letter: 'e', load: () => import('./certificates/screen.tsx') },
  { id: 'logs', icon: 'logs', group: 'system', letter: 'l', load: () => import('./logs/screen.tsx') },
  { id: 'settings', icon: 'settings', group: 'system', letter: 's', load: () => import('./settings/screen.tsx') },
];
