import './traffic.css';
import { useEffect, useState } from 'preact/hooks';
import type { TrafficItem, TrafficSettings } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge, toneOfStatus } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { confirm } from '../../design/confirm.tsx';
import { CopyField } from '../../design/copy.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { SearchField, Segments, Select } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { Menu } from '../../design/menu.tsx';
import { Page } from '../../design/page.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { type Column, Table } from '../../design/table.tsx';
import { common } from '../../i18n/common.ts';
import { bytes, clock, duration, number } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { replace, setQuery } from '../../router.ts';
import type { ScreenProps } from '../screen.ts';
import { StoryDrawer } from './story-drawer.tsx';
import { texts } from './texts.ts';
import { useAgentNames } from './use-agent-names.ts';
import { useAim } from './use-aim.ts';
import { useTraffic } from './use-traffic.ts';

const STATUSES = ['', '2xx', '3xx', '4xx', '5xx'] as const;
type Status = (typeof STATUSES)[number];
const METHODS = ['', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'CONNECT'] as const;
const SLOW = ['', '100', '500', '1000', '5000'] as const;
const CHIPS = ['location', 'upstream', 'agent'] as const;
const RESTS_MS = 250;
const FILTERS = ['status', 'path', 'method', 'slow', ...CHIPS] as const;

export default function TrafficScreen(props: ScreenProps) {
  const t = texts();
  const { data: settings, error, reload } = useLoad((signal) => api.get<TrafficSettings>('traffic/settings', { signal }), 'settings');
  return settings === undefined ? (
    <Page title={t.title}>{error === null ? <Skeleton lines={6} /> : <Refused error={error} retry={reload} />}</Page>
  ) : settings.enabled || props.rest[0] !== undefined ? (
    <Traffic {...props} settings={settings} reload={reload} />
  ) : (
    <Off settings={settings} reload={reload} />
  );
}

/** What it would do, what it would cost, and the switch. */
function Off({ settings, reload }: { settings: TrafficSettings; reload: () => void }) {
  const t = texts();
  const [busy, run] = useAction();
  const allowed = may('operate');
  const turnOn = (): void => void run(() => api.put('traffic/settings', { ...settings, enabled: true }), t.turnedOn).then(reload);
  return (
    <Page title={t.title}>
      <Card>
        <Empty
          icon="eye"
          title={t.off}
          action={
            <Button
              kind="primary"
              icon="play"
              busy={busy}
              disabled={!allowed}
              title={allowed ? undefined : common().needs('operate')}
              onClick={turnOn}
            >
              {t.turnOn}
            </Button>
          }
        >
          <p>{t.offText}</p>
          <p class="faint">{t.offCost}</p>
        </Empty>
      </Card>
    </Page>
  );
}

function Traffic({ rest, query, settings, reload }: ScreenProps & { settings: TrafficSettings; reload: () => void }) {
  const t = texts();
  const [paused, setPaused] = useState(false);
  const [atTop, setAtTop] = useState(true);
  const [path, setPath] = useState(query.get('path') ?? '');
  const [busy, run] = useAction();
  const slowMs = Number(query.get('slow') ?? '');
  const filters = {
    ...Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? undefined])),
    slow: slowMs > 0 ? `${slowMs}ms` : undefined,
    path: anywhere(query.get('path')),
  };
  const [aims, aim] = useAim();
  const { items, held, error, loading, forget } = useTraffic(filters, paused || !atTop || aims);
  const names = useAgentNames();
  const filtered = FILTERS.some((name) => query.get(name) !== null);

  useEffect(() => {
    if (path === (query.get('path') ?? '')) return undefined;
    const timer = setTimeout(() => setQuery({ path }), RESTS_MS);
    return () => clearTimeout(timer);
  }, [path]);
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (
        event.key !== 'p' ||
        event.ctrlKey ||
        event.metaKey ||
        (event.target instanceof Element && event.target.closest('input, textarea, select, dialog') !== null)
      )
        return;
      setPaused((before) => !before);
    };
    addEventListener('keydown', keys);
    return () => removeEventListener('keydown', keys);
  }, []);

  const clearFilters = (): void => {
    setPath('');
    setQuery(Object.fromEntries(FILTERS.map((name) => [name, undefined])));
  };
  const clear = async (): Promise<void> => {
    const yes = await confirm({ title: t.clearTitle, text: t.clearText, yes: t.clear, danger: true });
    if (yes !== null && (await run(() => api.delete('traffic'), t.cleared))) forget();
  };
  const turnOff = (): void => void run(() => api.put('traffic/settings', { ...settings, enabled: false }), t.turnedOff).then(reload);
  const slow = query.get('slow') ?? '';
  const slowChoices: (readonly [string, string])[] = SLOW.map((one) => [one, t.slowChoices[one]] as const);
  if (!slowChoices.some(([one]) => one === slow)) slowChoices.push([slow, t.slowAtLeast(duration(Number(slow)))]);
  return (
    <Page
      title={t.title}
      note={t.note}
      fill
      actions={
        <>
          <Button icon={paused ? 'play' : 'pause'} aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? t.goOn : t.pause} <kbd>p</kbd>
          </Button>
          <Menu
            label={t.settings}
            class="menu-boxed"
            button={<Icon name="more" />}
            head={
              <span class="soft small">
                {t.settings}: {t.keeps(number(settings.size))}
              </span>
            }
            items={[
              { text: t.clear, icon: 'trash', disabled: !may('operate') || busy, onChoose: () => void clear() },
              { text: t.turnOff, icon: 'block', disabled: !may('operate') || busy, onChoose: turnOff },
            ]}
          />
        </>
      }
    >
      <Card flush class="card-fill traffic">
        <div class="toolbar">
          <SearchField label={t.path} value={path} onInput={setPath} shortcut />
          <Segments<Status>
            label={t.status}
            value={STATUSES.find((one) => one === query.get('status')) ?? ''}
            choices={STATUSES.map((one) => [one, t.statuses[one]] as const)}
            onChange={(status) => setQuery({ status })}
          />
          <Select
            label={t.method}
            hideLabel
            value={query.get('method') ?? ''}
            choices={METHODS.map((one) => [one, one === '' ? t.anyMethod : one] as const)}
            onChange={(method) => setQuery({ method })}
          />
          <Select label={t.slow} hideLabel value={slow} choices={slowChoices} onChange={(next) => setQuery({ slow: next })} />
          {CHIPS.map((name) => {
            const value = query.get(name);
            return (
              value !== null && (
                <button
                  key={name}
                  type="button"
                  class="chip"
                  aria-label={t.without(name)}
                  title={t.without(name)}
                  onClick={() => setQuery({ [name]: undefined })}
                >
                  <span class="soft">{t.filters[name]}</span> <span class="clip">{name === 'agent' ? names.get(value) || value : value}</span>
                  <Icon name="close" size={13} />
                </button>
              )
            );
          })}
          <span class="toolbar-count tabular">
            {held > 0 ? (
              <button
                type="button"
                class="held"
                onClick={() => {
                  setPaused(false);
                  document.querySelector('.traffic .table')?.scrollTo({ top: 0 });
                }}
              >
                <Icon name="up" size={13} /> {t.newOnes(number(held))}
              </button>
            ) : (
              <span class={paused ? 'faint' : 'live-mark'}>{paused ? t.pause : t.live}</span>
            )}
          </span>
        </div>
        {error !== null && items.length === 0 ? (
          <Refused error={error} />
        ) : (
          <div class="traffic-lines" {...aim}>
            <Table<TrafficItem>
              label={t.title}
              columns={columnsOf(names)}
              items={items}
              total={loading && items.length === 0 ? 12 : items.length}
              keyOf={({ id }) => id}
              fill
              rowPx={36}
              chosen={rest[0]}
              onTop={setAtTop}
              toneOf={({ status }) => (status >= 500 ? 'bad' : undefined)}
              onOpen={({ id }) => replace('traffic', id, Object.fromEntries(query))}
              empty={
                filtered ? (
                  <Empty icon="search" title={common().nothingFound} action={<Button onClick={clearFilters}>{common().clearFilters}</Button>}>
                    {common().nothingFoundText}
                  </Empty>
                ) : (
                  <Empty icon="traffic" title={t.empty}>
                    <p>{t.emptyText}</p>
                    <p class="faint">{t.terminal}</p>
                    <CopyField text="windlass tail" label={t.command} />
                  </Empty>
                )
              }
            />
          </div>
        )}
      </Card>
      {rest[0] !== undefined && (
        <StoryDrawer key={rest[0]} id={rest[0]} query={query} onClose={() => replace('traffic', [], Object.fromEntries(query))} />
      )}
    </Page>
  );
}

/** The server takes the beginning of a path, or all of it with `*` for any text; people look for a part. */
function anywhere(text: string | null): string | undefined {
  return text === null || text === '' ? undefined : text.includes('*') ? text : `*${text}*`;
}

function columnsOf(names: ReadonlyMap<string, string>): Column<TrafficItem>[] {
  const t = texts();
  const c = t.columns;
  return [
    { id: 'time', title: c.time, width: '84px', spare: 3, cell: ({ atMs }) => <span class="soft tabular">{clock(atMs)}</span> },
    {
      id: 'status',
      title: c.status,
      width: '74px',
      narrow: '66px',
      cell: ({ status, failure }) => (
        <Badge tone={toneOfStatus(status)} title={failure}>
          {status === 0 ? t.running : status}
        </Badge>
      ),
    },
    { id: 'method', title: c.method, width: '76px', spare: 3, cell: ({ method }) => <code class="soft">{method}</code> },
    {
      id: 'target',
      title: c.target,
      width: 'minmax(150px, 3fr)',
      narrow: 'minmax(100px, 1fr)',
      cell: ({ host, target }) => <code title={`${host}${target}`}>{target}</code>,
    },
    {
      id: 'total',
      title: c.total,
      width: '148px',
      narrow: '82px',
      right: true,
      cell: ({ totalMs, waitedMs, status }) => (status === 0 ? <span class="faint">…</span> : <Took totalMs={totalMs} waitedMs={waitedMs} />),
    },
    { id: 'location', title: c.location, width: 'minmax(80px, 1fr)', spare: 2, cell: ({ location }) => location || <span class="faint">–</span> },
    {
      id: 'where',
      title: c.where,
      width: 'minmax(120px, 1.3fr)',
      spare: 2,
      cell: ({ agent, endpoint, upstream, failure }) =>
        failure !== '' ? (
          <span class="check-failed">{failure}</span>
        ) : (
          <span title={`${upstream} → ${agent || endpoint}`}>{names.get(agent) || agent || endpoint || <span class="faint">–</span>}</span>
        ),
    },
    { id: 'size', title: c.size, width: '84px', right: true, spare: 1, cell: ({ replyBytes }) => bytes(replyBytes) },
    { id: 'client', title: c.client, width: '128px', spare: 1, cell: ({ client }) => <span class="soft tabular">{client}</span> },
  ];
}

/** How long it took, and as a bar: its length grows with the logarithm, from 1 ms to a minute; the part of waiting in the queue stands out. */
function Took({ totalMs, waitedMs }: { totalMs: number; waitedMs: number }) {
  const length = Math.max(0.04, Math.min(1, Math.log10(Math.max(1, totalMs)) / Math.log10(60_000)));
  const waited = totalMs > 0 ? Math.min(1, waitedMs / totalMs) : 0;
  return (
    <span class="took" title={waitedMs > 0 ? texts().waited(duration(waitedMs)) : undefined}>
      <span class="took-bar" aria-hidden="true">
        <span class="took-own" style={{ width: `${length * (1 - waited) * 100}%` }} />
        <span class="took-waited" style={{ width: `${length * waited * 100}%` }} />
      </span>
      {duration(totalMs)}
    </span>
  );
}
