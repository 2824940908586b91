import type { AgentInfo, Page } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { useLoad } from '../../live/load.ts';

const KNOWN_MAX = 1_000;

/** What the ids of agents are called, as far as they have names. */
export function useAgentNames(): ReadonlyMap<string, string> {
  const { data } = useLoad(
    (signal) => api.get<Page<AgentInfo>>('agents', { query: { limit: KNOWN_MAX }, signal }).catch(() => ({ total: 0, items: [] })),
    'names',
    { on: ['agents'] },
  );
  return new Map(data?.items.map(({ id, name }) => [id, name]));
}
