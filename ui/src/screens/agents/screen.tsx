import './agents.css';
import { useEffect, useState } from 'preact/hooks';
import type { AgentInfo } from '../../../../src/admin/model.ts';
import { may } from '../../api/may.ts';
import { Badge, Label } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { SearchField, Segments } from '../../design/field.tsx';
import { Meter } from '../../design/meter.tsx';
import { Page } from '../../design/page.tsx';
import { type Column, Table } from '../../design/table.tsx';
import { common } from '../../i18n/common.ts';
import { ago, compact, duration, number } from '../../i18n/format.ts';
import { latest, nowMs } from '../../live/store.ts';
import { replace, setQuery } from '../../router.ts';
import type { ScreenProps } from '../screen.ts';
import { AgentDrawer } from './agent-drawer.tsx';
import { RegisterDialog } from './register-dialog.tsx';
import { RevokedDrawer } from './revoked-drawer.tsx';
import { StateBadge } from './state-badge.tsx';
import { texts } from './texts.ts';
import { useAgents } from './use-agents.ts';

const STATES = ['', 'serving', 'draining', 'away'] as const;
type State = (typeof STATES)[number];
/** Typing rests for so long before the server is asked, ms. */
const RESTS_MS = 180;
const LABELS_SHOWN = 3;

export default function AgentsScreen({ rest, query }: ScreenProps) {
  const t = texts();
  const [text, setText] = useState(query.get('query') ?? '');
  const state = STATES.find((known) => known === query.get('state')) ?? '';
  const wished = query.get('sort') ?? '';
  const sort = columnsOf().some((column) => column.sort !== undefined && column.sort === wished.replace(/^-/, '')) ? wished : 'name';
  const { total, rows, offset, error, loading, range, reload } = useAgents({ query: query.get('query') ?? '', state, sort });

  useEffect(() => {
    if (text === (query.get('query') ?? '')) return undefined;
    const timer = setTimeout(() => setQuery({ query: text }), RESTS_MS);
    return () => clearTimeout(timer);
  }, [text]);

  const tick = latest.value;
  const filtered = state !== '' || (query.get('query') ?? '') !== '';
  const clear = (): void => {
    setText('');
    setQuery({ query: '', state: '' });
  };
  const close = (): void => replace('agents', [], { ...Object.fromEntries(query), register: undefined, revoked: undefined });
  const mayRegister = may('admin');
  return (
    <Page
      title={t.title}
      note={tick === null ? undefined : t.counts(number(tick.agents), number(tick.slotsFree), number(tick.slots))}
      fill
      actions={
        <>
          <Button kind="quiet" icon="block" onClick={() => setQuery({ revoked: '1' })}>
            {t.revokedList}
          </Button>
          <Button
            kind="primary"
            icon="plus"
            disabled={!mayRegister}
            title={mayRegister ? undefined : common().needs('admin')}
            onClick={() => setQuery({ register: '1' })}
          >
            {t.register}
          </Button>
        </>
      }
    >
      <Card flush class="card-fill">
        <div class="toolbar">
          <SearchField label={t.find} value={text} onInput={setText} shortcut />
          <Segments<State>
            label={t.state}
            value={state}
            choices={STATES.map((one) => [one, t.states[one]] as const)}
            onChange={(next) => setQuery({ state: next })}
          />
          <span class="toolbar-count tabular">{total === null ? '' : number(total)}</span>
        </div>
        {error !== null && total === null ? (
          <Refused error={error} retry={reload} />
        ) : (
          <Table<AgentInfo>
            label={t.title}
            columns={columnsOf()}
            items={rows}
            offset={offset}
            total={total ?? (loading ? 12 : 0)}
            keyOf={({ id }) => id}
            fill
            sort={sort}
            onSort={(next) => setQuery({ sort: next })}
            onRange={range}
            chosen={rest[0]}
            onOpen={({ id }) => replace('agents', id, Object.fromEntries(query))}
            empty={
              filtered ? (
                <Empty icon="search" title={common().nothingFound} action={<Button onClick={clear}>{common().clearFilters}</Button>}>
                  {common().nothingFoundText}
                </Empty>
              ) : (
                <Empty
                  icon="agents"
                  title={t.empty}
                  action={
                    mayRegister && (
                      <Button kind="primary" icon="plus" onClick={() => setQuery({ register: '1' })}>
                        {t.register}
                      </Button>
                    )
                  }
                >
                  {t.emptyText}
                </Empty>
              )
            }
          />
        )}
      </Card>
      {rest[0] !== undefined && <AgentDrawer key={rest[0]} id={rest[0]} onClose={close} />}
      {query.get('register') !== null && mayRegister && <RegisterDialog onClose={close} />}
      {query.get('revoked') !== null && <RevokedDrawer onClose={close} />}
    </Page>
  );
}

function columnsOf(): Column<AgentInfo>[] {
  const t = texts();
  return [
    {
      id: 'name',
      title: t.columns.name,
      width: 'minmax(130px, 1.5fr)',
      narrow: 'minmax(80px, 1fr)',
      sort: 'name',
      cell: ({ name, id, remark }) => (
        <span class="two-lines" title={`${name}\n${id}${remark === '' ? '' : `\n${remark}`}`}>
          <span class="strong clip">{name || id}</span>
          {remark !== '' && <span class="faint small clip">{remark}</span>}
        </span>
      ),
    },
    { id: 'state', title: t.columns.state, width: '116px', narrow: '112px', sort: 'state', cell: (agent) => <StateBadge state={agent.state} /> },
    {
      id: 'slots',
      title: t.columns.slots,
      width: 'minmax(110px, 150px)',
      narrow: '106px',
      sort: 'free',
      cell: ({ slots, free, state }) =>
        state === 'away' ? (
          <span class="faint">–</span>
        ) : (
          <span class="slots">
            <Meter used={slots - free} of={slots} label={t.taken(slots - free, slots)} />
            <span class="tabular">
              {free}
              <span class="faint">/{slots}</span>
            </span>
          </span>
        ),
    },
    { id: 'inFlight', title: t.columns.inFlight, width: '86px', right: true, sort: 'inFlight', spare: 0, cell: ({ inFlight }) => number(inFlight) },
    { id: 'served', title: t.columns.served, width: '86px', right: true, sort: 'served', spare: 2, cell: ({ served }) => compact(served) },
    {
      id: 'failed',
      title: t.columns.failed,
      width: '76px',
      right: true,
      sort: 'failed',
      spare: 0,
      cell: ({ failed }) => (failed === 0 ? <span class="faint">0</span> : number(failed)),
    },
    {
      id: 'labels',
      title: t.columns.labels,
      width: 'minmax(200px, 3fr)',
      spare: 2,
      cell: ({ labels }) => {
        const all = Object.entries(labels);
        return (
          <span class="labels">
            {all.slice(0, LABELS_SHOWN).map(([name, value]) => (
              <Label key={name} name={name} value={value} />
            ))}
            {all.length > LABELS_SHOWN && <span class="faint small">+{all.length - LABELS_SHOWN}</span>}
          </span>
        );
      },
    },
    {
      id: 'rtt',
      title: t.columns.rtt,
      width: '76px',
      right: true,
      spare: 2,
      cell: ({ sessions }) => {
        const trips = sessions.map(({ rttMs }) => rttMs).filter((ms) => ms !== null);
        return trips.length === 0 ? <span class="faint">–</span> : duration(Math.min(...trips));
      },
    },
    {
      id: 'version',
      title: t.columns.version,
      width: '84px',
      spare: 2,

      cell: ({ version, wire }) => (wire !== 'native' ? <Badge>{wire}</Badge> : version.replace('windlass/', '') || <span class="faint">–</span>),
    },
    {
      id: 'joined',
      title: t.columns.joined,
      width: '116px',
      right: true,
      sort: 'joined',
      spare: 3,
      cell: ({ joinedAtMs, leftAtMs, state }) => (
        <Joined atMs={state === 'away' && leftAtMs > 0 ? leftAtMs : joinedAtMs} left={state === 'away' && leftAtMs > 0} />
      ),
    },
  ];
}

function Joined({ atMs, left }: { atMs: number; left: boolean }) {
  return atMs === 0 ? (
    <span class="faint">–</span>
  ) : (
    <span class={left ? 'faint' : 'soft'} title={left ? texts().facts.left : undefined}>
      {ago(atMs, nowMs.value)}
    </span>
  );
}
