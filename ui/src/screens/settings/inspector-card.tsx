import { useState } from 'preact/hooks';
import type { TrafficSettings } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { Select, Switch } from '../../design/field.tsx';
import { useLoad } from '../../live/load.ts';
import { settingsWords } from './words.ts';

const SIZES = [100, 500, 1_000, 5_000, 10_000];

/** Whether exchanges are kept, and how many. */
export function InspectorCard() {
  const t = settingsWords();
  const { data, reload } = useLoad((signal) => api.get<TrafficSettings>('traffic/settings', { signal }), 'traffic-settings');
  const [newest, setNewest] = useState<TrafficSettings | null>(null);
  const [busy, run] = useAction();
  const settings = newest ?? data;
  // A server without an inspector has nothing to switch.
  if (settings === undefined) return null;
  const put = (next: TrafficSettings): void =>
    void run(async () => {
      await api.put('traffic/settings', next);
      setNewest(next);
      reload();
    }, t.saved);
  const sizes = [...new Set([...SIZES, settings.size])].toSorted((a, b) => a - b);
  return (
    <Card
      title={t.inspector}
      actions={
        may('operate') && (
          <Button small kind="quiet" icon="trash" busy={busy} onClick={() => void run(() => api.delete('traffic'), t.inspectorCleared)}>
            {t.inspectorClear}
          </Button>
        )
      }
    >
      <div class="stack">
        <p class="soft small">{t.inspectorText}</p>
        <div class="row row-wrap settings-inspector">
          <Switch
            label={t.inspectorOn}
            on={settings.enabled}
            disabled={busy || !may('operate')}
            onChange={(enabled) => put({ ...settings, enabled })}
          />
          <div class="row">
            <span class="soft small">{t.inspectorSize}</span>
            <Select
              label={t.inspectorSize}
              hideLabel
              value={String(settings.size)}
              choices={sizes.map((size) => [String(size), size.toLocaleString()] as const)}
              onChange={(size) => put({ ...settings, size: Number(size) })}
            />
          </div>
        </div>
      </div>
    </Card>
  );
}
