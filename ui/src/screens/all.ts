import type { Screen } from './screen.ts';

/** All screens, in the order of the sidebar. */
export const SCREENS: readonly Screen[] = [
  { id: 'overview', icon: 'overview', group: 'watch', letter: 'o', load: () => import('./overview/screen.tsx') },
  { id: 'traffic', icon: 'traffic', group: 'watch', letter: 't', load: () => import('./traffic/screen.tsx') },
  { id: 'agents', icon: 'agents', group: 'watch', letter: 'a', load: () => import('./agents/screen.tsx') },
  { id: 'queue', icon: 'queue', group: 'watch', letter: 'q', load: () => import('./queue/screen.tsx') },
  { id: 'upstreams', icon: 'upstreams', group: 'watch', letter: 'u', load: () => import('./upstreams/screen.tsx') },
];
