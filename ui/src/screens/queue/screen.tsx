import './queue.css';
import { useState } from 'preact/hooks';
import type { QueueInfo } from '../../../../src/admin/model.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { confirm } from '../../design/confirm.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { SearchField, Segments } from '../../design/field.tsx';
import { Page } from '../../design/page.tsx';
import { type Column, Table } from '../../design/table.tsx';
import { common } from '../../i18n/common.ts';
import { compact, duration, number } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { href } from '../../router.ts';
import { texts } from './texts.ts';

type Waiting = QueueInfo['waiting'][number];

const EVERY_MS = 1_000;
const LIMIT = 1_000;

export default function QueueScreen() {
  const t = texts();
  const { data, error, reload } = useLoad((signal) => api.get<QueueInfo>('queue', { query: { limit: LIMIT }, signal }), 'queue', {
    on: ['queue'],
    everyMs: EVERY_MS,
  });
  const [text, setText] = useState('');
  const [upstream, setUpstream] = useState('');
  const [busy, run] = useAction();
  const like = text.trim().toLowerCase();
  const waiting = (data?.waiting ?? []).filter(
    (one) =>
      (upstream === '' || one.upstream === upstream) &&
      (like === '' || `${one.key} ${one.path} ${one.upstream} ${one.scope}`.toLowerCase().includes(like)),
  );
  const cancel = async (one: Waiting): Promise<void> => {
    const yes = await confirm({ title: t.cancelTitle, text: t.cancelText(one.path || t.request(one.upstream)), yes: t.cancelYes, danger: true });
    if (yes !== null && (await run(() => api.delete(at`queue/${one.id}`), t.cancelled))) reload();
  };
  const upstreams = data?.byUpstream ?? [];
  return (
    <Page title={t.title} note={t.note} fill>
      <div class="queue-facts">
        <Fact name={t.size} value={data === undefined ? '–' : compact(data.size)} />
        <Fact name={t.oldest} value={data === undefined || data.size === 0 ? '–' : duration(data.oldestAgeMs)} />
        <Fact name={t.service} note={t.serviceNote} value={data === undefined || data.serviceMs === 0 ? '–' : duration(data.serviceMs)} />
        <Fact name={t.outside} note={t.outsideNote} value={data === undefined ? '–' : compact(data.outside)} />
      </div>
      <Card flush class="card-fill">
        <div class="toolbar">
          <SearchField label={t.find} value={text} onInput={setText} shortcut />
          {upstreams.length > 1 && (
            <Segments
              label={t.upstream}
              value={upstream}
              onChange={setUpstream}
              choices={[['', common().all], ...upstreams.slice(0, 6).map(({ upstream: name, size }) => [name, `${name} ${number(size)}`] as const)]}
            />
          )}
          <span class="toolbar-count tabular">{data === undefined ? '' : common().ofTotal(number(waiting.length), number(data.size))}</span>
        </div>
        {error !== null && data === undefined ? (
          <Refused error={error} retry={reload} />
        ) : (
          <Table<Waiting>
            label={t.title}
            columns={columnsOf(
              may('operate') ? (one) => void cancel(one) : null,
              busy,
              waiting.some(({ path }) => path !== ''),
            )}
            items={waiting}
            total={data === undefined ? 8 : waiting.length}
            keyOf={({ id }) => id}
            fill
            empty={
              like !== '' || upstream !== '' ? (
                <Empty
                  icon="search"
                  title={common().nothingFound}
                  action={
                    <Button
                      onClick={() => {
                        setText('');
                        setUpstream('');
                      }}
                    >
                      {common().clearFilters}
                    </Button>
                  }
                />
              ) : (
                <Empty icon="queue" title={t.empty}>
                  {t.emptyText}
                </Empty>
              )
            }
          />
        )}
        {data !== undefined && data.size > data.waiting.length && (
          <p class="queue-more soft small">{t.more(number(data.size - data.waiting.length))}</p>
        )}
      </Card>
    </Page>
  );
}

function Fact({ name, note, value }: { name: string; note?: string; value: string }) {
  return (
    <div class="queue-fact">
      <span class="queue-fact-name">
        {name}
        {note !== undefined && <span class="faint"> {note}</span>}
      </span>
      <span class="queue-fact-value tabular">{value}</span>
    </div>
  );
}

function columnsOf(cancel: ((one: Waiting) => void) | null, busy: boolean, paths: boolean): Column<Waiting>[] {
  const t = texts();
  const c = t.columns;
  return [
    {
      id: 'position',
      title: c.position,
      width: '56px',
      narrow: '38px',
      right: true,
      cell: ({ position }) => <span class="strong">{number(position)}</span>,
    },
    {
      id: 'upstream',
      title: c.upstream,
      width: 'minmax(110px, 1.5fr)',
      narrow: 'minmax(80px, 1fr)',
      cell: ({ upstream }) => (
        <a class="strong" href={href('upstreams', upstream)}>
          {upstream}
        </a>
      ),
    },
    // Paths matter to the queue only where tokens name them.
    ...(paths
      ? [
          {
            id: 'path',
            title: c.path,
            width: 'minmax(120px, 2fr)',
            narrow: 'minmax(60px, 1fr)',
            cell: ({ path }: Waiting) => (path === '' ? <span class="faint">–</span> : <code title={path}>{path}</code>),
          },
        ]
      : []),
    {
      id: 'key',
      title: c.key,
      width: 'minmax(90px, 1.5fr)',
      spare: 3,
      cell: ({ key }) => (key === '' ? <span class="faint">–</span> : <span title={key}>{key}</span>),
    },
    { id: 'class', title: c.class, width: '72px', right: true, spare: 1, cell: ({ class: value }) => number(value) },
    {
      id: 'scope',
      title: c.scope,
      width: 'minmax(70px, 0.8fr)',
      spare: 1,
      cell: ({ scope }) => (scope === '' ? <span class="faint">–</span> : <Badge>{scope}</Badge>),
    },
    { id: 'age', title: c.age, width: '96px', narrow: '76px', right: true, cell: ({ ageMs }) => duration(Math.floor(ageMs / 100) * 100) },
    {
      id: 'estimate',
      title: c.estimate,
      width: '92px',
      right: true,
      spare: 3,
      cell: ({ estimatedWaitMs }) =>
        estimatedWaitMs === null ? <span class="faint">–</span> : estimatedWaitMs === 0 ? t.soon : t.about(duration(estimatedWaitMs)),
    },
    ...(cancel === null
      ? []
      : [
          {
            id: 'cancel',
            title: <span class="unseen">{t.cancel}</span>,
            width: '92px',
            narrow: '84px',
            right: true,
            cell: (one: Waiting) => (
              <Button small disabled={busy} onClick={() => cancel(one)}>
                {t.cancel}
              </Button>
            ),
          },
        ]),
  ];
}
