import { useEffect, useRef, useState } from 'preact/hooks';
import type { ConfigInfo, FormSection } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { Refused } from '../../design/empty.tsx';
import { Icon, type IconName } from '../../design/icon.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { spokenSchema } from '../../forms/spoken-schema.ts';
import { language } from '../../i18n/language.ts';
import { useLoad } from '../../live/load.ts';
import { href, replace } from '../../router.ts';
import type { ScreenProps } from '../screen.ts';
import { type Config, PAGES, problemsOf, unsaved } from './config.ts';
import './configuration.css';
import { FilesPage } from './files-page.tsx';
import { HistoryPage } from './history-page.tsx';
import { Home } from './home.tsx';
import { ItemPage, mayLeave, sectionTitle } from './item-page.tsx';
import { NewItem } from './new-item.tsx';
import { SectionTable } from './section-table.tsx';
import { TransferPage } from './transfer-page.tsx';
import { configurationWords } from './words.ts';

/** The configuration: its sections as tables and forms, its files as text, its history. */
export default function ConfigurationScreen(wished: ScreenProps) {
  const t = configurationWords();
  const { rest, query } = useGuarded(wished);
  const info = useLoad((signal) => api.get<ConfigInfo>('config', { signal }), 'config', { on: ['config'] });
  const schema = useLoad(
    async (signal) => spokenSchema((await api.get<{ sections: readonly FormSection[] }>('config/schema', { signal })).sections),
    `schema-${language.value}`,
  );
  const error = info.data === undefined ? info.error : schema.data === undefined ? schema.error : null;
  if (error !== null)
    return (
      <div class="page">
        <Refused
          error={error}
          retry={() => {
            info.reload();
            schema.reload();
          }}
        />
      </div>
    );
  if (info.data === undefined || schema.data === undefined)
    return (
      <div class="page" aria-busy="true">
        <h1>{t.title}</h1>
        <Skeleton lines={6} height={20} />
      </div>
    );
  const config: Config = { info: info.data, sections: schema.data.toSorted((a, b) => rankOf(a) - rankOf(b)), reload: info.reload };
  return (
    <div class="page">
      <div class="page-head">
        <div class="page-title">
          <h1>{t.title}</h1>
          <span class="page-note mono clip">{config.info.files.length === 1 ? config.info.files[0]!.name : ''}</span>
        </div>
      </div>
      <div class="config">
        <Parts config={config} here={rest[0] ?? ''} />
        <div class="config-main">
          <Part config={config} rest={rest} query={query} />
        </div>
      </div>
    </div>
  );
}

/** As people meet them. Sections that nobody has thought of here come last. */
const ORDER = ['basic', 'servers', 'locations', 'upstreams', 'plugins', 'certificates', 'agents', 'storages', 'notifications', 'admins'];

function rankOf({ section }: FormSection): number {
  const rank = ORDER.indexOf(section);
  return rank < 0 ? ORDER.length : rank;
}

function Part({ config, rest, query }: { config: Config } & ScreenProps) {
  const [part = '', name] = rest;
  if (part === '') return <Home config={config} />;
  if (part === 'files') return <FilesPage config={config} name={rest.slice(1).join('/')} query={query} />;
  if (part === 'history') return <HistoryPage config={config} id={name ?? ''} />;
  if (part === 'transfer') return <TransferPage config={config} />;
  const section = config.sections.find((one) => one.section === part);
  if (section === undefined) return <Home config={config} />;
  if (!section.named) return <ItemPage config={config} section={section} name="" />;
  if (query.has('new')) return <NewItem key={`${query.get('kind')}-${query.get('clone')}`} config={config} section={section} query={query} />;
  return name === undefined ? (
    <SectionTable key={part} config={config} section={section} query={query} />
  ) : (
    <ItemPage config={config} section={section} name={name} />
  );
}

/** The place that is shown: another one only when nothing is lost by it, or somebody has said that it may be. */
function useGuarded(wished: ScreenProps): ScreenProps {
  const [shown, setShown] = useState(wished);
  const key = placeKey(wished);
  const isNew = key !== placeKey(shown);
  const mustAsk = isNew && unsaved.peek() !== '' && basis(wished) !== basis(shown);
  useEffect(() => {
    if (!isNew) return;
    if (!mustAsk) {
      setShown(wished);
      return;
    }
    const stays = shown;
    replace('configuration', stays.rest, Object.fromEntries(stays.query));
    void mayLeave().then((may) => {
      if (!may) return;
      replace('configuration', wished.rest, Object.fromEntries(wished.query));
      setShown(wished);
    });
  }, [key]);
  return isNew && !mustAsk ? wished : shown;
}

function placeKey({ rest, query }: ScreenProps): string {
  return JSON.stringify([rest, query.toString()]);
}

/** Going to another line of the same file is not leaving. */
function basis({ rest, query }: ScreenProps): string {
  return JSON.stringify([rest, query.get('new'), query.get('kind'), query.get('clone')]);
}

const ICONS: Record<(typeof PAGES)[number], IconName> = { files: 'file', history: 'history', transfer: 'download' };

function Parts({ config, here }: { config: Config; here: string }) {
  const t = configurationWords();
  const { info, sections } = config;
  const nav = useRef<HTMLElement>(null);
  // On narrow pages they are one line, in which the present one may be out of sight.
  useEffect(() => {
    const [line, present] = [nav.current!, nav.current!.querySelector<HTMLElement>('[aria-current=page]')];
    if (present !== null) line.scrollLeft = present.offsetLeft - (line.clientWidth - present.offsetWidth) / 2;
  }, [here]);
  return (
    <nav class="config-parts" aria-label={t.parts} ref={nav}>
      <ul>
        <li>
          <a href={href('configuration')} aria-current={here === '' ? 'page' : undefined}>
            <Icon name="overview" size={16} />
            <span class="grow">{t.home}</span>
            {!info.ok && <Icon name="error" size={15} />}
          </a>
        </li>
        {sections.map(({ section, named }) => {
          const items = info.sections[section] ?? [];
          const isWrong = items.some((item) => problemsOf(info.problems, section, item.name).some(({ level }) => level === 'error'));
          return (
            <li key={section}>
              <a href={href('configuration', section)} aria-current={here === section ? 'page' : undefined}>
                <span class="config-dot" aria-hidden="true" />
                <span class="grow">{sectionTitle(section)}</span>
                {isWrong && <Icon name="error" size={15} />}
                {named && <span class="faint small number">{items.length}</span>}
              </a>
            </li>
          );
        })}
        <li class="config-parts-line" role="separator" />
        {PAGES.map((page) => (
          <li key={page}>
            <a href={href('configuration', page)} aria-current={here === page ? 'page' : undefined}>
              <Icon name={ICONS[page]} size={16} />
              <span class="grow">{t[page]}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
