import { useState } from 'preact/hooks';
import type { AgentInfo } from '../../../../src/admin/model.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Button } from '../../design/button.tsx';
import { Field, TextField } from '../../design/field.tsx';
import { common } from '../../i18n/common.ts';
import { texts } from './texts.ts';

/** Name, note and labels of an agent. */
export function AgentForm({ agent, onSaved }: { agent: AgentInfo; onSaved: () => void }) {
  const t = texts();
  const [name, setName] = useState(agent.name);
  const [remark, setRemark] = useState(agent.remark);
  const [labels, setLabels] = useState(() => linesOf(agent.labels));
  const [busy, run] = useAction();
  const wrong = wrongLine(labels);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (wrong !== null) return;
    void run(() => api.patch(at`agents/${agent.id}`, { name, remark, labels: labelsOf(labels) }), t.saved).then((saved) => saved && onSaved());
  };
  return (
    <form class="stack" onSubmit={submit}>
      <TextField label={t.name} value={name} onInput={setName} maxLength={128} />
      <TextField label={t.remark} help={t.remarkHelp} value={remark} onInput={setRemark} maxLength={500} />
      <Field label={t.labels} help={t.labelsHelp} error={wrong === null ? undefined : t.labelWrong(wrong)}>
        {(ids) => (
          <textarea
            {...ids}
            class="input mono"
            rows={5}
            value={labels}
            spellcheck={false}
            onInput={(event) => setLabels(event.currentTarget.value)}
          />
        )}
      </Field>
      <div class="row">
        <Button type="submit" kind="primary" busy={busy} disabled={!may('operate') || wrong !== null}>
          {common().save}
        </Button>
        {!may('operate') && <span class="faint small">{common().needs('operate')}</span>}
      </div>
    </form>
  );
}

export function linesOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`))
    .join('\n');
}

export function labelsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    lines(text).map((line) => [line.split('=')[0]!.trim(), line.includes('=') ? line.slice(line.indexOf('=') + 1).trim() : '']),
  );
}

/** The first line that is no label; null when all are. */
export function wrongLine(text: string): string | null {
  return lines(text).find((line) => !/^[^\s=]+\s*(=.*)?$/.test(line)) ?? null;
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
