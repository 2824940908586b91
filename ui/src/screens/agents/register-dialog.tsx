import { useState } from 'preact/hooks';
import type { AgentInfo, Page, RegisterAgent, RegisteredAgent } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { ApiError } from '../../api/problem.ts';
import { useAction } from '../../design/action.ts';
import { Button } from '../../design/button.tsx';
import { CopyField } from '../../design/copy.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { Field, Select, TextField } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { common } from '../../i18n/common.ts';
import { useLoad } from '../../live/load.ts';
import { labelsOf, wrongLine } from './agent-form.tsx';
import { texts } from './texts.ts';

type Ttl = '0' | '86400000' | '604800000' | '2592000000' | '31536000000';
const TTLS: readonly Ttl[] = ['0', '86400000', '604800000', '2592000000', '31536000000'];

/** Makes a token for an agent, shows it this once, and waits for the agent to join. */
export function RegisterDialog({ onClose }: { onClose: () => void }) {
  const t = texts();
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState('');
  const [labels, setLabels] = useState('');
  const [ttl, setTtl] = useState<Ttl>('0');
  const [refused, setRefused] = useState<string | null>(null);
  const [made, setMade] = useState<RegisteredAgent | null>(null);
  const [busy, run] = useAction();
  const wrong = wrongLine(labels);
  if (made !== null) return <Made name={name} made={made} onClose={onClose} />;

  const submit = (event: Event): void => {
    event.preventDefault();
    const body: RegisterAgent = {
      name: name.trim(),
      ...(scopes.trim() === '' ? {} : { scopes: scopes.trim().split(/[\s,]+/) }),
      ...(labels.trim() === '' ? {} : { labels: labelsOf(labels) }),
      ttlMs: Number(ttl),
    };
    setRefused(null);
    void run(async () => {
      try {
        setMade(await api.post<RegisteredAgent>('agents', body));
      } catch (error) {
        if (!(error instanceof ApiError) || error.away) throw error;
        setRefused(error.message);
      }
    });
  };
  return (
    <Dialog
      title={t.registerTitle}
      note={t.registerText}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{common().cancel}</Button>
          <Button kind="primary" type="submit" form="register" busy={busy} disabled={name.trim() === '' || wrong !== null}>
            {t.make}
          </Button>
        </>
      }
    >
      <form id="register" class="stack" onSubmit={submit}>
        <TextField
          label={t.name}
          help={t.nameHelp}
          error={refused ?? undefined}
          value={name}
          onInput={setName}
          required
          autoFocus
          maxLength={128}
          autocomplete="off"
        />
        <TextField label={t.scopes} help={t.scopesHelp} value={scopes} onInput={setScopes} autocomplete="off" />
        <Field label={t.labels} help={t.labelsHelp} error={wrong === null ? undefined : t.labelWrong(wrong)}>
          {(ids) => (
            <textarea
              {...ids}
              class="input mono"
              rows={3}
              value={labels}
              spellcheck={false}
              onInput={(event) => setLabels(event.currentTarget.value)}
            />
          )}
        </Field>
        <Select<Ttl> label={t.ends} value={ttl} choices={TTLS.map((one) => [one, t.endChoices[one]] as const)} onChange={setTtl} />
      </form>
    </Dialog>
  );
}

function Made({ name, made, onClose }: { name: string; made: RegisteredAgent; onClose: () => void }) {
  const t = texts();
  // It joins while the person looks at this: that is the moment to say so.
  const { data } = useLoad((signal) => api.get<Page<AgentInfo>>('agents', { query: { query: made.id, limit: 1 }, signal }), made.id, {
    on: ['agents'],
    everyMs: 2_000,
  });
  const joined = data?.items.some(({ tokens, state }) => tokens.includes(made.id) && state !== 'away') === true;
  return (
    <Dialog
      title={t.madeTitle(name)}
      closable={false}
      wide
      onClose={onClose}
      footer={
        <Button kind="primary" onClick={onClose}>
          {t.done}
        </Button>
      }
    >
      <div class="stack">
        <div class="note note-warn">
          <Icon name="key" size={17} />
          <span class="note-text">{t.madeText}</span>
        </div>
        <div class="stack-tight">
          <h3>{t.runThis}</h3>
          <CopyField text={made.command} label={t.command} />
        </div>
        <div class="stack-tight">
          <h3>{t.tokenOnly}</h3>
          <CopyField text={made.token} label={t.token} secret />
        </div>
        <p class={`row ${joined ? 'joined' : 'soft'}`} role="status">
          {joined ? <Icon name="check" size={16} /> : <span class="spinner" aria-hidden="true" />}
          {joined ? t.hasJoined(name) : t.waitingFor(name)}
        </p>
      </div>
    </Dialog>
  );
}
