import { type ComponentChildren, createContext } from 'preact';
import { useContext, useMemo, useState } from 'preact/hooks';
import type { CertificateInfo, ConfigChange, ConfigItem, FormSection, Page, RouteTest, UpstreamInfo } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { Empty } from '../../design/empty.tsx';
import { SearchField } from '../../design/field.tsx';
import { type Column, Table } from '../../design/table.tsx';
import { toast } from '../../design/toast.tsx';
import { common } from '../../i18n/common.ts';
import { date } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { go, href, setQuery } from '../../router.ts';
import { type Config, itemHref, namesIn, problemsOf } from './config.ts';
import { ItemMenu } from './item-menu.tsx';
import { sectionTitle } from './item-page.tsx';
import { Review } from './review.tsx';
import { configurationWords } from './words.ts';

/** A longer table draws only what is seen. */
const LONG = 150;
/** Shown of a list in a cell; the rest is a number. In a longer table all rows are of one height, which has room for one line. */
const FEW = 3;
const ShownOfList = createContext(FEW);

/** All items of one section: found, sorted, chosen, changed together. */
export function SectionTable({ config, section, query }: { config: Config; section: FormSection; query: URLSearchParams }) {
  const t = configurationWords();
  const name = section.section;
  const all = config.info.sections[name] ?? [];
  const live = useLive(name, config.info.appliedEtag);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [review, setReview] = useState<readonly ConfigChange[] | null>(null);
  const mayChange = may('admin') && config.info.fixed === '';
  const find = query.get('find') ?? '';
  const sort = query.get('sort') ?? (name === 'locations' && live.weights.size > 0 ? '-weight' : 'name');
  const words = find
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const texts = useMemo(() => new Map(all.map((item) => [item.name, `${item.name} ${JSON.stringify(item.values)}`.toLowerCase()])), [all]);
  const shown = useMemo(
    () => all.filter((item) => words.every((word) => texts.get(item.name)!.includes(word))).toSorted(order(sort, live)),
    [all, find, sort, live],
  );
  const picked = all.filter((item) => chosen.has(item.name));

  const columns: Column<ConfigItem>[] = [
    ...(mayChange
      ? [
          {
            id: 'choose',
            title: (
              <input
                type="checkbox"
                aria-label={t.chooseAll}
                checked={shown.length > 0 && shown.every((item) => chosen.has(item.name))}
                onChange={(event) => setChosen(event.currentTarget.checked ? new Set(shown.map((item) => item.name)) : new Set())}
              />
            ),
            width: '28px',
            cell: (item: ConfigItem) => (
              <input
                type="checkbox"
                aria-label={t.choose(item.name)}
                checked={chosen.has(item.name)}
                onChange={(event) => {
                  const next = new Set(chosen);
                  if (event.currentTarget.checked) next.add(item.name);
                  else next.delete(item.name);
                  setChosen(next);
                }}
              />
            ),
          },
        ]
      : []),
    {
      id: 'name',
      title: t.column.name,
      width: 'minmax(130px, 1.2fr)',
      sort: 'name',
      cell: (item) => {
        const problems = problemsOf(config.info.problems, name, item.name);
        const isError = problems.some(({ level }) => level === 'error');
        return (
          <span class="row cell-name">
            <a class="strong clip" href={itemHref(name, item.name)} title={item.name}>
              {item.name}
            </a>
            {problems.length > 0 && (
              <Badge tone={isError ? 'bad' : 'warn'} title={problems.map(({ message }) => message).join('\n')}>
                {isError ? t.problem(problems.filter(({ level }) => level === 'error').length) : t.warning(problems.length)}
              </Badge>
            )}
          </span>
        );
      },
    },
    ...columnsOf(name, config, live),
    {
      id: 'menu',
      title: <span class="unseen">{t.column.actions}</span>,
      width: '40px',
      cell: (item) => <ItemMenu config={config} section={name} name={item.name} />,
    },
  ];

  return (
    <div class="config-page">
      <header class="config-head">
        <div class="grow">
          <h2 class="config-title">{sectionTitle(name)}</h2>
          <p class="soft">{t.says[name] ?? section.kinds[0]?.says}</p>
        </div>
        {mayChange && (
          <Button kind="primary" icon="plus" onClick={() => go('configuration', name, { new: '1' })}>
            {t.add[name] ?? common().all}
          </Button>
        )}
      </header>
      <Card flush>
        <div class="config-tools">
          <SearchField label={t.findIn(sectionTitle(name))} value={find} onInput={(text) => setQuery({ find: text })} shortcut />
          {picked.length > 0 ? (
            <span class="row row-wrap" role="group" aria-label={t.chosen(picked.length)}>
              <strong>{t.chosen(picked.length)}</strong>
              {name === 'locations' && (
                <Button
                  small
                  icon="pause"
                  onClick={() => {
                    const servers = (config.info.sections['servers'] ?? []).flatMap((server): ConfigChange[] => {
                      const listed = namesIn(server.values['locations']);
                      const left = listed.filter((one) => !chosen.has(one));
                      return left.length === listed.length
                        ? []
                        : [{ section: 'servers', name: server.name, values: { ...server.values, locations: left } }];
                    });
                    setReview(servers);
                  }}
                >
                  {t.switchOff}
                </Button>
              )}
              <Button small kind="danger" icon="trash" onClick={() => setReview(deletions(config, name, picked))}>
                {t.deleteChosen}
              </Button>
              <Button small kind="quiet" onClick={() => setChosen(new Set())}>
                {common().clear}
              </Button>
            </span>
          ) : (
            <span class="faint small">{words.length === 0 ? t.items(all.length) : common().ofTotal(String(shown.length), String(all.length))}</span>
          )}
        </div>
        <div class={shown.length > LONG ? 'config-table-long' : ''}>
          <ShownOfList.Provider value={shown.length > LONG ? 1 : FEW}>
            <Table
              label={sectionTitle(name)}
              columns={columns}
              items={shown}
              keyOf={(item) => item.name}
              onOpen={(item) => go('configuration', [name, item.name])}
              sort={sort}
              onSort={(next) => setQuery({ sort: next })}
              rowPx={46}
              fill={shown.length > LONG}
              empty={
                all.length === 0 ? (
                  <Empty icon="configuration" title={t.none[name] ?? t.nobody}>
                    {t.says[name]}
                  </Empty>
                ) : (
                  <Empty
                    icon="search"
                    title={common().nothingFound}
                    action={<Button onClick={() => setQuery({ find: undefined })}>{common().clear}</Button>}
                  />
                )
              }
            />
          </ShownOfList.Provider>
        </div>
      </Card>
      {review !== null && (
        <Review
          changes={review}
          etag={config.info.etag}
          onClose={() => setReview(null)}
          onSaved={() => {
            setReview(null);
            setChosen(new Set());
            config.reload();
          }}
          onConflict={() => {
            setReview(null);
            config.reload();
            toast({ tone: 'info', text: t.changedElsewhere });
          }}
        />
      )}
    </div>
  );
}

/** Locations also go out of the servers that list them: else nothing could be deleted. */
function deletions({ info }: Config, section: string, items: readonly ConfigItem[]): readonly ConfigChange[] {
  const gone = new Set(items.map(({ name }) => name));
  const servers =
    section !== 'locations'
      ? []
      : (info.sections['servers'] ?? []).flatMap((server): ConfigChange[] => {
          const listed = namesIn(server.values['locations']);
          const left = listed.filter((one) => !gone.has(one));
          return left.length === listed.length ? [] : [{ section: 'servers', name: server.name, values: { ...server.values, locations: left } }];
        });
  return [...servers, ...items.map(({ name }): ConfigChange => ({ section, name, values: null }))];
}

/** What the running gateway knows beside the files. */
interface Live {
  readonly weights: ReadonlyMap<string, number>;
  readonly upstreams: ReadonlyMap<string, UpstreamInfo>;
  readonly certificates: ReadonlyMap<string, CertificateInfo>;
}

const NOTHING: Live = { weights: new Map(), upstreams: new Map(), certificates: new Map() };

function useLive(section: string, etag: string): Live {
  const { data } = useLoad<Live>(
    async (signal) => {
      try {
        if (section === 'upstreams') {
          const { items } = await api.get<Page<UpstreamInfo>>('upstreams', { signal });
          return { ...NOTHING, upstreams: new Map(items.map((one) => [one.name, one])) };
        }
        if (section === 'certificates') {
          const { items } = await api.get<Page<CertificateInfo>>('certificates', { signal });
          return { ...NOTHING, certificates: new Map(items.map((one) => [one.name, one])) };
        }
        if (section === 'locations') {
          // Whatever is asked for, the answer has every location with the weight that is used.
          const { tests } = await api.post<{ tests: readonly RouteTest[] }>('routing/test', { host: 'example.invalid', path: '/' }, { signal });
          return { ...NOTHING, weights: new Map(tests.flatMap(({ considered }) => considered.map(({ location, weight }) => [location, weight]))) };
        }
      } catch {
        // The table says what the files say; what the gateway adds is not there.
      }
      return NOTHING;
    },
    `${section},${etag}`,
    { on: section === 'upstreams' ? ['upstreams', 'agents'] : section === 'certificates' ? ['certificates'] : [] },
  );
  return data ?? NOTHING;
}

/** Made once: making one for each comparison is most of the work of sorting. */
const NAMES = new Intl.Collator(undefined, { numeric: true });

function order(sort: string, { weights }: Live): (a: ConfigItem, b: ConfigItem) => number {
  const sign = sort.startsWith('-') ? -1 : 1;
  const byName = (a: ConfigItem, b: ConfigItem): number => NAMES.compare(a.name, b.name);
  switch (sort.replace('-', '')) {
    case 'weight':
      return (a, b) => sign * ((weights.get(a.name) ?? 0) - (weights.get(b.name) ?? 0)) || byName(a, b);
    case 'kind':
      return (a, b) => sign * String(a.values['category'] ?? '').localeCompare(String(b.values['category'] ?? '')) || byName(a, b);
    case 'used':
      return (a, b) => sign * (a.usedBy.length - b.usedBy.length) || byName(a, b);
    default:
      return (a, b) => sign * byName(a, b);
  }
}

function columnsOf(section: string, config: Config, live: Live): Column<ConfigItem>[] {
  const t = configurationWords();
  const at = section === 'locations' ? serversByLocation(config) : new Map<string, string[]>();
  const c = t.column;
  const usedBy: Column<ConfigItem> = {
    id: 'used',
    title: c.usedBy,
    width: 'minmax(110px, 1fr)',
    sort: 'used',
    spare: 2,
    cell: ({ usedBy: users }) => (
      <Few items={users.map((subject) => ({ text: subject, to: itemHref(subject.split('.')[0]!, subject.split('.').slice(1).join('.')) }))} />
    ),
  };
  const remark: Column<ConfigItem> = {
    id: 'remark',
    title: c.remark,
    width: 'minmax(90px, 1fr)',
    spare: 3,
    cell: ({ values }) => <span class="soft clip">{text(values['remark'])}</span>,
  };
  switch (section) {
    case 'servers':
      return [
        {
          id: 'addr',
          title: c.addresses,
          width: 'minmax(130px, 1.2fr)',
          cell: ({ values }) => <Few mono items={namesIn(values['addr']).map((one) => ({ text: one }))} />,
        },
        {
          id: 'tls',
          title: c.tls,
          width: '110px',
          spare: 1,
          cell: ({ values }) =>
            values['global_certificates'] === true || values['tls_cert'] !== undefined ? (
              <Badge tone="good">TLS</Badge>
            ) : values['self_signed'] === true ? (
              <Badge tone="warn">self-signed</Badge>
            ) : (
              <span class="faint">–</span>
            ),
        },
        {
          id: 'locations',
          title: c.locations,
          width: 'minmax(140px, 1.6fr)',
          cell: ({ values }) => <Few items={namesIn(values['locations']).map((one) => ({ text: one, to: itemHref('locations', one) }))} />,
        },
        remark,
      ];
    case 'locations':
      return [
        { id: 'match', title: c.match, width: 'minmax(140px, 1.5fr)', cell: ({ values }) => <Match values={values} /> },
        {
          id: 'upstream',
          title: c.upstream,
          width: 'minmax(90px, 0.8fr)',
          cell: ({ values }) => {
            const upstream = text(values['upstream']);
            return upstream === '' ? (
              <span class="faint">–</span>
            ) : upstream.startsWith('$') ? (
              <code>{upstream}</code>
            ) : (
              <a class="clip" href={itemHref('upstreams', upstream)}>
                {upstream}
              </a>
            );
          },
        },
        {
          id: 'plugins',
          title: c.plugins,
          width: 'minmax(100px, 1fr)',
          spare: 2,
          cell: ({ values }) => (
            <Few items={namesIn(values['plugins']).map((one) => ({ text: one, ...(one.includes(':') ? {} : { to: itemHref('plugins', one) }) }))} />
          ),
        },
        {
          id: 'at',
          title: c.at,
          width: 'minmax(90px, 0.8fr)',
          spare: 1,
          cell: ({ name }) => {
            const servers = at.get(name) ?? [];
            return servers.length === 0 ? (
              <Badge tone="warn">{t.nobody}</Badge>
            ) : (
              <Few items={servers.map((one) => ({ text: one, to: itemHref('servers', one) }))} />
            );
          },
        },
        {
          id: 'weight',
          title: <span title={t.weightHelp}>{c.weight}</span>,
          width: '84px',
          right: true,
          sort: 'weight',
          cell: ({ name, values }) => <span class="number">{live.weights.get(name) ?? text(values['weight'])}</span>,
        },
      ];
    case 'upstreams':
      return [
        {
          id: 'kind',
          title: c.kind,
          width: '100px',
          spare: 1,
          cell: ({ values }) => (
            <Badge tone={values['agents'] === undefined ? 'idle' : 'info'}>{values['agents'] === undefined ? t.kinds['addresses'] : 'agents'}</Badge>
          ),
        },
        {
          id: 'addrs',
          title: c.addresses,
          width: 'minmax(140px, 1.6fr)',
          cell: ({ values }) =>
            values['agents'] === undefined ? (
              <Few mono items={addressTexts(values['addrs']).map((one) => ({ text: one }))} />
            ) : (
              <code class="clip">{text(values['agents'])}</code>
            ),
        },
        { id: 'algo', title: c.algo, width: 'minmax(90px, 0.7fr)', spare: 2, cell: ({ values }) => <code class="clip">{text(values['algo'])}</code> },
        { id: 'health', title: c.health, width: '130px', cell: ({ name }) => <Health upstream={live.upstreams.get(name)} /> },
        usedBy,
      ];
    case 'plugins':
      return [
        {
          id: 'kind',
          title: c.category,
          width: 'minmax(130px, 0.8fr)',
          sort: 'kind',
          cell: ({ values }) => <Badge>{text(values['category'] ?? values['module'])}</Badge>,
        },
        usedBy,
        remark,
      ];
    case 'certificates':
      return [
        {
          id: 'domains',
          title: c.domains,
          width: 'minmax(140px, 1.5fr)',
          cell: ({ name, values }) => (
            <Few items={(live.certificates.get(name)?.names ?? namesIn(values['domains'])).map((one) => ({ text: one }))} />
          ),
        },
        {
          id: 'source',
          title: c.source,
          width: 'minmax(100px, 0.7fr)',
          spare: 1,
          cell: ({ values }) => <Badge>{values['acme'] === undefined && values['acme_directory'] === undefined ? t.file : 'ACME'}</Badge>,
        },
        {
          id: 'valid',
          title: c.validity,
          width: 'minmax(120px, 1fr)',
          cell: ({ name }) => {
            const found = live.certificates.get(name);
            if (found === undefined) return <span class="faint">–</span>;
            return found.problem === '' ? <span class="clip">{date(found.notAfterMs)}</span> : <Badge tone="bad">{found.problem}</Badge>;
          },
        },
      ];
    case 'admins':
      return [
        { id: 'role', title: c.role, width: 'minmax(120px, 1fr)', cell: ({ values }) => <Badge tone="info">{text(values['role'])}</Badge> },
        remark,
      ];
    default:
      return [
        { id: 'kind', title: c.category, width: 'minmax(120px, 1fr)', cell: ({ values }) => <Badge>{text(values['category'])}</Badge> },
        usedBy,
        remark,
      ];
  }
}

/** Servers that list each location. */
function serversByLocation({ info }: Config): ReadonlyMap<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { name, values } of info.sections['servers'] ?? [])
    for (const location of namesIn(values['locations'])) found.set(location, [...(found.get(location) ?? []), name]);
  return found;
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

function addressTexts(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return namesIn(value);
  return value.map((one: unknown) => (typeof one === 'string' ? one : String((one as { addr?: string } | null)?.addr ?? '')));
}

/** The first few of a list, and how many more there are. */
function Few({ items, mono = false }: { items: readonly { readonly text: string; readonly to?: string }[]; mono?: boolean }) {
  const most = useContext(ShownOfList);
  if (items.length === 0) return <span class="faint">–</span>;
  return (
    <span class={`few ${mono ? 'mono' : ''}`} title={items.map((item) => item.text).join(', ')}>
      {items.slice(0, most).map((item, i) => (
        <span key={i} class="chip clip">
          {item.to === undefined ? item.text : <a href={item.to}>{item.text}</a>}
        </span>
      ))}
      {items.length > most && <span class="faint small">+{items.length - most}</span>}
    </span>
  );
}

function Match({ values }: { values: ConfigItem['values'] }): ComponentChildren {
  const t = configurationWords();
  const hosts = namesIn(values['host']);
  const path = text(values['path']);
  const more = ['match_headers', 'match_query', 'match_cookies', 'match_methods'].filter((key) => values[key] !== undefined);
  if (hosts.length === 0 && path === '' && more.length === 0) return <span class="faint">{t.everything}</span>;
  return (
    <span class="match clip" title={`${hosts.join(', ')}${path}`}>
      {hosts.length > 0 && <span class="match-host">{hosts.length > 1 ? `${hosts[0]} +${hosts.length - 1}` : hosts[0]}</span>}
      {path !== '' && <code>{path}</code>}
      {more.length > 0 && <span class="faint small">+{more.length}</span>}
    </span>
  );
}

function Health({ upstream }: { upstream: UpstreamInfo | undefined }) {
  const t = configurationWords();
  if (upstream === undefined) return <span class="faint">–</span>;
  if (upstream.agents !== null && upstream.agents !== undefined)
    return (
      <Badge tone={upstream.agents.connected > 0 ? 'good' : 'warn'} dot>
        {t.agentsHere(upstream.agents.connected)}
      </Badge>
    );
  const usable = upstream.endpoints.filter((one) => one.usable).length;
  return (
    <a href={href('upstreams', upstream.name)}>
      <Badge tone={usable === upstream.endpoints.length ? 'good' : usable === 0 ? 'bad' : 'warn'} dot>
        {t.usable(usable, upstream.endpoints.length)}
      </Badge>
    </a>
  );
}
