import type { AgentInfo } from '../../../../src/admin/model.ts';
import { Badge, type Tone } from '../../design/badge.tsx';
import { texts } from './texts.ts';

const TONES: Record<AgentInfo['state'], Tone> = { serving: 'good', draining: 'warn', away: 'idle' };

export function StateBadge({ state }: { state: AgentInfo['state'] }) {
  return (
    <Badge tone={TONES[state]} dot>
      {texts().states[state]}
    </Badge>
  );
}
