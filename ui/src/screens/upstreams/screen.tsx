import './upstreams.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Page as PageOf, UpstreamInfo } from '../../../../src/admin/model.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge, type Tone } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { confirm } from '../../design/confirm.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { SearchField, Segments } from '../../design/field.tsx';
import { Meter } from '../../design/meter.tsx';
import { Page } from '../../design/page.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { type Column, Table } from '../../design/table.tsx';
import { common } from '../../i18n/common.ts';
import { compact, number, percent } from '../../i18n/format.ts';
import { said } from '../../i18n/said.ts';
import { useLoad } from '../../live/load.ts';
import { info } from '../../live/store.ts';
import { go, href } from '../../router.ts';
import type { ScreenProps } from '../screen.ts';
import { texts } from './texts.ts';

type Endpoint = UpstreamInfo['endpoints'][number];
type Condition = Endpoint['condition'];

const EVERY_MS = 2_000;
/** Endpoints of one upstream that are shown at once; cards, too. */
const SHOWN = 12;
const CARDS_SHOWN = 40;
const TONES: Record<Condition, Tone> = { well: 'good', ejected: 'warn', broken: 'bad', trying: 'warn', unhealthy: 'bad', out: 'idle' };

export default function UpstreamsScreen({ rest }: ScreenProps) {
  const t = texts();
  const { data, error, reload } = useLoad((signal) => api.get<PageOf<UpstreamInfo>>('upstreams', { signal }), 'upstreams', {
    on: ['upstreams', 'config', 'agents'],
    everyMs: EVERY_MS,
  });
  const [text, setText] = useState('');
  const [show, setShow] = useState<'all' | 'unwell'>('all');
  const [cards, setCards] = useState(CARDS_SHOWN);
  const like = text.trim().toLowerCase();
  const all = data?.items ?? [];
  const unwell = all.filter(isUnwell).length;
  const found = all
    .filter((one) => show === 'all' || isUnwell(one))
    .filter(
      (one) =>
        like === '' || one.name.toLowerCase().includes(like) || one.endpoints.some(({ host, id }) => `${host} ${id}`.toLowerCase().includes(like)),
    )
    .toSorted((a, b) => Number(isUnwell(b)) - Number(isUnwell(a)) || (a.name < b.name ? -1 : 1));
  const wanted = rest[0];
  const shown = found.slice(0, wanted !== undefined && found.findIndex(({ name }) => name === wanted) >= cards ? found.length : cards);
  return (
    <Page
      title={t.title}
      note={data === undefined ? undefined : t.note(number(data.total), number(unwell))}
      actions={
        <>
          <SearchField label={t.find} value={text} onInput={setText} shortcut />
          <Segments
            label={t.show}
            value={show}
            onChange={setShow}
            choices={[
              ['all', t.all],
              ['unwell', `${t.unwell} ${unwell > 0 ? number(unwell) : ''}`],
            ]}
          />
        </>
      }
    >
      {data === undefined ? (
        error === null ? (
          <Card>
            <Skeleton lines={6} />
          </Card>
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : found.length === 0 ? (
        <Card>
          {all.length === 0 ? (
            <Empty
              icon="upstreams"
              title={t.empty}
              action={info.value?.kind === 'gateway' && <Button onClick={() => go('configuration')}>{t.toConfiguration}</Button>}
            >
              {t.emptyText}
            </Empty>
          ) : (
            <Empty
              icon="search"
              title={common().nothingFound}
              action={
                <Button
                  onClick={() => {
                    setText('');
                    setShow('all');
                  }}
                >
                  {common().clearFilters}
                </Button>
              }
            />
          )}
        </Card>
      ) : (
        <>
          {shown.map((upstream) => (
            <UpstreamCard key={upstream.name} upstream={upstream} chosen={upstream.name === wanted} reload={reload} />
          ))}
          {found.length > shown.length && (
            <Button onClick={() => setCards(cards + CARDS_SHOWN)}>{t.more(number(found.length - shown.length))}</Button>
          )}
        </>
      )}
    </Page>
  );
}

function UpstreamCard({ upstream, chosen, reload }: { upstream: UpstreamInfo; chosen: boolean; reload: () => void }) {
  const t = texts();
  const box = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState(SHOWN);
  const [busy, run] = useAction();
  useEffect(() => {
    if (chosen) box.current?.scrollIntoView({ block: 'start', behavior: 'smooth' });
  }, [chosen]);
  const { name, of, algorithm, locations, endpoints } = upstream;
  const well = endpoints.filter(({ condition }) => condition === 'well').length;

  const takeOut = async (endpoint: Endpoint): Promise<void> => {
    const last = endpoint.condition === 'well' && well === 1;
    const yes = await confirm({
      title: t.takeOutTitle(endpoint.id),
      text: last ? t.takeOutLast(name) : t.takeOutText(name),
      yes: t.takeOut,
      danger: last,
    });
    if (yes !== null && (await run(() => api.post(at`upstreams/${name}/out`, { endpoint: endpoint.id }), t.takenOut(endpoint.id)))) reload();
  };
  const putBack = async (endpoint: Endpoint): Promise<void> => {
    if (await run(() => api.post(at`upstreams/${name}/in`, { endpoint: endpoint.id }), t.isBack(endpoint.id))) reload();
  };
  const sick = endpoints.toSorted((a, b) => Number(a.condition === 'well') - Number(b.condition === 'well'));
  return (
    <div ref={box} class={`upstream ${chosen ? 'upstream-chosen' : ''}`}>
      <Card
        flush
        title={
          <span class="row">
            <HealthBar upstream={upstream} />
            <span class="wrap-anywhere">{name}</span>
          </span>
        }
        note={
          <span class="upstream-facts">
            <span>{t.of[of]}</span>
            <span>{algorithm}</span>
            <span class="tabular">{t.inFlight(number(upstream.inFlight))}</span>
            {upstream.waiting > 0 && (
              <a class="tabular" href={href('queue')}>
                {t.waiting(number(upstream.waiting))}
              </a>
            )}
          </span>
        }
        actions={
          <span class="upstream-locations">
            {locations.length === 0 ? (
              <span class="faint small">{t.noLocations}</span>
            ) : (
              <>
                <span class="faint small">{t.usedBy}</span>
                {locations.slice(0, 4).map((location) => (
                  <Badge key={location}>
                    <span class="upstream-location" title={location}>
                      {location}
                    </span>
                  </Badge>
                ))}
                {locations.length > 4 && <span class="faint small">+{locations.length - 4}</span>}
              </>
            )}
          </span>
        }
      >
        {upstream.agents !== null ? (
          <Agents agents={upstream.agents} />
        ) : endpoints.length === 0 ? (
          <p class="upstream-none soft">{t.noEndpoints}</p>
        ) : (
          <Table<Endpoint>
            label={name}
            columns={columnsOf(may('operate') ? { takeOut: (one) => void takeOut(one), putBack: (one) => void putBack(one), busy } : null)}
            items={sick.slice(0, shown)}
            keyOf={({ id }) => id}
            toneOf={({ condition }) => (TONES[condition] === 'bad' ? 'bad' : TONES[condition] === 'warn' ? 'warn' : undefined)}
          />
        )}
        {endpoints.length > shown && (
          <div class="upstream-more">
            <Button small kind="quiet" onClick={() => setShown(shown + 100)}>
              {t.more(number(endpoints.length - shown))}
            </Button>
          </div>
        )}
      </Card>
    </div>
  );
}

/** The agents that serve it, as a sum: they come and go, and have a screen of their own. */
function Agents({ agents: { selector, connected, slots, free } }: { agents: NonNullable<UpstreamInfo['agents']> }) {
  const t = texts();
  return (
    <div class="upstream-agents">
      <span>
        {connected === 0 ? (
          <Badge tone="bad" dot>
            {t.noAgents}
          </Badge>
        ) : (
          t.connected(number(connected))
        )}
      </span>
      {connected > 0 && (
        <span class="upstream-slots">
          <Meter used={slots - free} of={slots} label={t.slotsFree(number(free), number(slots))} />
          <span class="tabular">{t.slotsFree(number(free), number(slots))}</span>
        </span>
      )}
      <span class="soft">
        {selector === '*' ? t.selectsAll : t.selects} {selector !== '*' && <code>{selector}</code>}
      </span>
      <a class="upstream-to" href={href('agents')}>
        {t.toAgents}
      </a>
    </div>
  );
}

/** How many are well, how many not, as parts of one short bar. */
function HealthBar({ upstream: { endpoints, agents } }: { upstream: UpstreamInfo }) {
  const t = texts();
  if (agents !== null) {
    const says = agents.connected === 0 ? t.noAgents : t.connected(number(agents.connected));
    return (
      <span class="health-bar" role="img" aria-label={says} title={says}>
        <span class={agents.connected === 0 ? 'health-bad' : 'health-good'} style={{ flexGrow: 1 }} />
      </span>
    );
  }
  const counts = new Map<Tone, number>();
  const names = new Map<Condition, number>();
  for (const { condition } of endpoints) {
    counts.set(TONES[condition], (counts.get(TONES[condition]) ?? 0) + 1);
    names.set(condition, (names.get(condition) ?? 0) + 1);
  }
  const says = [...names].map(([condition, count]) => `${t.conditions[condition]} ${count}`).join(', ') || t.noEndpoints;
  return (
    <span class="health-bar" role="img" aria-label={says} title={says}>
      {(['good', 'warn', 'bad', 'idle'] as const).map(
        (tone) => counts.has(tone) && <span key={tone} class={`health-${tone}`} style={{ flexGrow: counts.get(tone)! }} />,
      )}
    </span>
  );
}

function columnsOf(acts: { takeOut: (one: Endpoint) => void; putBack: (one: Endpoint) => void; busy: boolean } | null): Column<Endpoint>[] {
  const t = texts();
  const c = t.columns;
  return [
    {
      id: 'id',
      title: c.endpoint,
      width: 'minmax(140px, 1.6fr)',
      narrow: 'minmax(90px, 1fr)',
      cell: ({ host, id }) => (
        <span class="strong" title={host}>
          {id}
        </span>
      ),
    },
    {
      id: 'condition',
      title: c.state,
      width: 'minmax(112px, 140px)',
      narrow: '112px',
      cell: ({ condition }) => (
        <Badge tone={TONES[condition]} dot title={t.conditionHelp[condition]}>
          {t.conditions[condition]}
        </Badge>
      ),
    },
    { id: 'inFlight', title: c.inFlight, width: '84px', right: true, spare: 3, cell: ({ inFlight }) => number(inFlight) },
    { id: 'requests', title: c.requests, width: '92px', right: true, spare: 2, cell: ({ requests }) => compact(requests) },
    {
      id: 'failures',
      title: c.failures,
      width: '80px',
      right: true,
      spare: 2,
      cell: ({ failures }) => (failures === 0 ? <span class="faint">0</span> : compact(failures)),
    },
    { id: 'weight', title: c.weight, width: '78px', right: true, spare: 1, cell: ({ weight }) => number(weight) },
    { id: 'priority', title: c.priority, width: '80px', right: true, spare: 0, cell: ({ priority }) => number(priority) },
    {
      id: 'check',
      title: c.check,
      width: 'minmax(150px, 3fr)',
      spare: 2,
      cell: ({ check }) =>
        check === null ? (
          <span class="faint">{t.noCheck}</span>
        ) : check.healthy ? (
          <span class="soft">{t.checkOk}</span>
        ) : (
          <span class="check-bad" title={said(check.reason)}>
            {said(check.reason)}
          </span>
        ),
    },
    {
      id: 'load',
      title: c.load,
      width: '70px',
      right: true,
      spare: 0,
      cell: ({ load }) => (load === null ? <span class="faint">–</span> : percent(load)),
    },
    ...(acts === null
      ? []
      : [
          {
            id: 'act',
            title: <span class="unseen">{t.takeOut}</span>,
            width: '108px',
            narrow: '92px',
            right: true,
            cell: (one: Endpoint) => (
              <Button small disabled={acts.busy} onClick={() => (one.condition === 'out' ? acts.putBack(one) : acts.takeOut(one))}>
                {one.condition === 'out' ? t.putBack : t.takeOut}
              </Button>
            ),
          },
        ]),
  ];
}

function isUnwell({ endpoints, agents }: UpstreamInfo): boolean {
  return agents !== null ? agents.connected === 0 : endpoints.some(({ condition }) => condition !== 'well');
}
