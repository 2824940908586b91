import { useState } from 'preact/hooks';
import type { Page, TokenInfo } from '../../../../src/admin/model.ts';
import type { Role } from '../../../../src/admin/route.ts';
import { address, api, at } from '../../api/client.ts';
import { useAction } from '../../design/action.ts';
import { Badge } from '../../design/badge.tsx';
import { Button, IconButton } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { confirm } from '../../design/confirm.tsx';
import { CopyField } from '../../design/copy.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { Select, TextField } from '../../design/field.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { Table } from '../../design/table.tsx';
import { common } from '../../i18n/common.ts';
import { ago, date, dateTime } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { nowMs } from '../../live/store.ts';
import { settingsWords } from './words.ts';

const DAY_MS = 86_400_000;
const TTLS = { day: DAY_MS, month: 30 * DAY_MS, year: 365 * DAY_MS, ever: 0 } as const;
const ROLES: readonly Role[] = ['read', 'operate', 'admin'];

/** Tokens for scripts: made, shown once, revoked. */
export function TokensCard() {
  const t = settingsWords();
  const { data, error, reload } = useLoad((signal) => api.get<Page<TokenInfo>>('tokens', { signal }), 'tokens');
  const [making, setMaking] = useState(false);
  const [, run] = useAction();
  const revoke = async ({ id, name }: TokenInfo): Promise<void> => {
    if ((await confirm({ title: t.revokeTitle(name), text: t.revokeText, yes: t.revoke, danger: true })) === null) return;
    if (await run(() => api.delete(at`tokens/${id}`), t.revoked)) reload();
  };
  return (
    <Card
      flush
      title={t.tokens}
      note={t.tokensText}
      actions={
        <Button small icon="plus" onClick={() => setMaking(true)}>
          {t.newToken}
        </Button>
      }
    >
      {data === undefined ? (
        error === null ? (
          <Skeleton lines={3} />
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : (
        <Table
          label={t.tokens}
          items={data.items}
          keyOf={({ id }) => id}
          empty={
            <Empty icon="key" title={t.noTokens}>
              {t.noTokensText}
            </Empty>
          }
          columns={[
            { id: 'name', title: t.tokenName, width: 'minmax(120px, 2fr)', cell: ({ name }) => <span class="strong clip">{name}</span> },
            { id: 'role', title: t.tokenRole, width: '110px', cell: ({ role }) => <Badge tone={role === 'admin' ? 'warn' : 'info'}>{role}</Badge> },
            {
              id: 'created',
              title: t.created,
              width: 'minmax(110px, 1fr)',
              spare: 2,
              cell: ({ createdAtMs }) => <span title={dateTime(createdAtMs)}>{date(createdAtMs)}</span>,
            },
            {
              id: 'expires',
              title: t.expires,
              width: 'minmax(110px, 1fr)',
              spare: 1,
              cell: ({ expiresAtMs }) =>
                expiresAtMs === 0 ? <span class="faint">{t.never}</span> : <span title={dateTime(expiresAtMs)}>{date(expiresAtMs)}</span>,
            },
            {
              id: 'used',
              title: t.lastUsed,
              width: 'minmax(100px, 1fr)',
              cell: ({ lastUsedAtMs }) => (lastUsedAtMs === 0 ? <span class="faint">{t.never}</span> : ago(lastUsedAtMs, nowMs.value)),
            },
            {
              id: 'revoke',
              title: <span class="unseen">{t.actions}</span>,
              width: '44px',
              cell: (token) => <IconButton icon="trash" label={`${t.revoke}: ${token.name}`} onClick={() => void revoke(token)} />,
            },
          ]}
        />
      )}
      {making && (
        <NewToken
          onClose={() => {
            setMaking(false);
            reload();
          }}
        />
      )}
    </Card>
  );
}

function NewToken({ onClose }: { onClose: () => void }) {
  const t = settingsWords();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('read');
  const [ttl, setTtl] = useState<keyof typeof TTLS>('year');
  const [token, setToken] = useState<string | null>(null);
  const [busy, run] = useAction();
  const make = (): Promise<boolean> =>
    run(async () => {
      const made = await api.post<TokenInfo & { token: string }>('tokens', { name: name.trim(), role, ttlMs: TTLS[ttl] });
      setToken(made.token);
    });
  if (token !== null)
    return (
      <Dialog
        title={t.made}
        note={t.madeText}
        closable={false}
        onClose={onClose}
        footer={
          <Button kind="primary" onClick={onClose}>
            {common().close}
          </Button>
        }
      >
        <div class="stack">
          <CopyField label={name} text={token} secret />
          <h3>{t.example}</h3>
          <CopyField label={t.example} text={`curl -H 'Authorization: Bearer ${token}' ${address('info')}`} />
        </div>
      </Dialog>
    );
  return (
    <Dialog
      title={t.newToken}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{common().cancel}</Button>
          <Button type="submit" form="new-token" kind="primary" busy={busy} disabled={name.trim() === ''}>
            {t.create}
          </Button>
        </>
      }
    >
      <form
        id="new-token"
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <TextField label={t.tokenName} value={name} onInput={setName} help={t.tokenNameHelp} autoFocus required maxLength={128} />
        <Select label={t.tokenRole} value={role} choices={ROLES.map((one) => [one, `${one}: ${t.roles[one]}`] as const)} onChange={setRole} />
        <Select
          label={t.tokenTtl}
          value={ttl}
          choices={(['day', 'month', 'year', 'ever'] as const).map((one) => [one, t.ttls[one]] as const)}
          onChange={setTtl}
        />
      </form>
    </Dialog>
  );
}
