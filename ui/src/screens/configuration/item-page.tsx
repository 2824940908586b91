import { useEffect, useState } from 'preact/hooks';
import type { ConfigChange, ConfigInfo, ConfigVerdict, FormSection } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { confirm } from '../../design/confirm.tsx';
import { Empty } from '../../design/empty.tsx';
import { Icon } from '../../design/icon.tsx';
import { toastError } from '../../design/toast.tsx';
import { deepEqual } from '../../forms/deep-equal.ts';
import { formProblems, ItemForm } from '../../forms/item-form.tsx';
import { kindOf } from '../../forms/kind-of.ts';
import { changesOf, cleanValues, type Values } from '../../forms/values.ts';
import { common } from '../../i18n/common.ts';
import { go, href, leaveGuard } from '../../router.ts';
import { type Config, itemHref, itemOf, nameProblem, problemsOf, serverChanges, serversOf, subjectOf, surroundings, unsaved } from './config.ts';
import { ItemMenu } from './item-menu.tsx';
import { MergeItem } from './merge-view.tsx';
import { ProblemList } from './problem-list.tsx';
import { Review } from './review.tsx';
import { configurationWords } from './words.ts';

/** One item of a section in a form: an old one, or (`beginning`) one that is yet to be made. */
export function ItemPage({ config, section, name, beginning }: { config: Config; section: FormSection; name: string; beginning?: Values }) {
  const t = configurationWords();
  const found = itemOf(config.info, section.section, name);
  if (beginning === undefined && found === null && section.named)
    return (
      <Empty
        icon="search"
        title={t.gone(subjectOf(section.section, name))}
        action={<Button onClick={() => go('configuration', section.section)}>{t.back(sectionTitle(section.section))}</Button>}
      >
        {t.goneText}
      </Empty>
    );
  return (
    <Editing key={`${section.section}.${name}`} config={config} section={section} name={name} {...(beginning === undefined ? {} : { beginning })} />
  );
}

export function sectionTitle(section: string): string {
  return configurationWords().sections[section] ?? section;
}

interface Base {
  readonly info: ConfigInfo;
  readonly values: Values;
  readonly servers: ReadonlySet<string>;
}

function Editing({ config, section, name, beginning }: { config: Config; section: FormSection; name: string; beginning?: Values }) {
  const t = configurationWords();
  const isNew = beginning !== undefined;
  const [base, setBase] = useState<Base>(() => baseOf(config.info, section.section, name));
  const [draft, setDraft] = useState<Values>(beginning ?? base.values);
  const [servers, setServers] = useState<ReadonlySet<string>>(isNew && section.section === 'locations' ? onlyServerOf(config.info) : base.servers);
  const [newName, setNewName] = useState(name);
  const [dialog, setDialog] = useState<'review' | 'merge' | null>(null);
  const [theirs, setTheirs] = useState<Base | null>(null);
  const [version, setVersion] = useState(0);
  const mayChange = may('admin') && config.info.fixed === '';

  const changed = changesOf(isNew ? {} : base.values, draft).length + (sameSet(servers, base.servers) ? 0 : 1);
  const isDirty = isNew ? !deepEqual(draft, beginning) || newName !== name : changed > 0;
  const hasChangedElsewhere = config.info.etag !== base.info.etag;

  useEffect(() => {
    // Nobody has typed anything: what is shown follows the files.
    if (!hasChangedElsewhere || isDirty || isNew) return;
    const next = baseOf(config.info, section.section, name);
    setBase(next);
    setDraft(next.values);
    setServers(next.servers);
    setVersion((count) => count + 1);
  }, [config.info.etag]);

  useEffect(() => {
    unsaved.value = isDirty ? subjectOf(section.section, newName) : '';
    leaveGuard.value = isDirty ? mayLeave : null;
  }, [isDirty, newName]);
  useEffect(
    () => () => {
      unsaved.value = '';
      leaveGuard.value = null;
    },
    [],
  );

  const kind = kindOf(section, draft);
  const mine = cleanValues(draft, base.values);
  const changes: readonly ConfigChange[] = [
    ...(isNew || !deepEqual(mine, base.values) ? [{ section: section.section, name: isNew ? newName : name, values: mine }] : []),
    ...(section.section === 'locations' ? serverChanges(base.info, isNew ? newName : name, servers) : []),
  ];
  const taken = (config.info.sections[section.section] ?? []).map((item) => item.name);
  const nameWrong = isNew && section.named ? nameProblem(newName, taken) : null;
  const wrong = formProblems(kind, draft, isNew ? {} : base.values, isNew);
  const about = isNew ? [] : problemsOf(config.info.problems, section.section, name);

  const saved = (verdict: ConfigVerdict): void => {
    setDialog(null);
    unsaved.value = '';
    leaveGuard.value = null;
    if (isNew) {
      config.reload();
      go('configuration', [section.section, newName]);
      return;
    }
    // What was saved is the new base even before the fresh configuration comes.
    setBase({ info: { ...base.info, etag: verdict.etag }, values: mine, servers });
    setDraft(mine);
    config.reload();
  };
  const conflict = async (): Promise<void> => {
    try {
      const info = await api.get<ConfigInfo>('config');
      setTheirs(baseOf(info, section.section, isNew ? newName : name));
      setDialog('merge');
    } catch (error) {
      toastError(error);
    }
  };

  return (
    <div class="config-page">
      <header class="config-head">
        <div class="grow">
          {section.named && (
            <a class="config-back" href={href('configuration', section.section)}>
              <Icon name="left" size={14} /> {sectionTitle(section.section)}
            </a>
          )}
          <h2 class="config-title">
            <span class="wrap-anywhere">
              {isNew ? (t.add[section.section] ?? section.section) : section.named ? name : sectionTitle(section.section)}
            </span>
            {isNew && <Badge tone="info">{t.isNew}</Badge>}
            {kind !== null && kind.kind !== '' && <Badge>{t.kinds[kind.kind] ?? kind.kind}</Badge>}
          </h2>
          {kind !== null && kind.says !== '' && <p class="soft">{kind.says}</p>}
        </div>
        {!isNew && section.named && <ItemMenu config={config} section={section.section} name={name} />}
      </header>

      {!mayChange && (
        <p class="note note-info">
          <Icon name="info" />
          <span class="note-text">{config.info.fixed === '' ? t.readOnly('admin') : `${t.status.fixed} ${config.info.fixed}`}</span>
        </p>
      )}
      {hasChangedElsewhere && isDirty && (
        <p class="note note-warn" role="status">
          <Icon name="warning" />
          <span class="note-text">{t.changedElsewhere}</span>
        </p>
      )}
      <ProblemList problems={about} />

      {!isNew && <About config={config} section={section.section} name={name} />}
      {section.section === 'admins' && (
        <p class="note note-info">
          <Icon name="key" />
          <span class="note-text">{t.hashPassword}</span>
        </p>
      )}

      <ItemForm
        key={version}
        kind={kind}
        values={draft}
        before={isNew ? {} : base.values}
        problems={about}
        disabled={!mayChange}
        around={surroundings(config)}
        change={setDraft}
        head={
          <>
            {isNew && section.named && (
              <div class="form-group">
                <div class="setting">
                  <div class="setting-about">
                    <label class="setting-label" for="item-name">
                      {t.newName}
                      <span class="field-required" aria-hidden="true">
                        *
                      </span>
                    </label>
                    <p class="setting-help" id="item-name-help">
                      {t.nameHelp}
                    </p>
                  </div>
                  <div class="setting-input">
                    <input
                      id="item-name"
                      class="input"
                      autofocus
                      autocomplete="off"
                      spellcheck={false}
                      aria-describedby="item-name-help"
                      aria-invalid={(nameWrong !== null && newName !== '') || undefined}
                      value={newName}
                      onInput={(event) => setNewName(event.currentTarget.value)}
                    />
                    {nameWrong !== null && newName !== '' && (
                      <p class="field-error">{nameWrong === 'nameTaken' ? t.nameTaken(newName) : t[nameWrong]}</p>
                    )}
                  </div>
                </div>
              </div>
            )}
            {section.section === 'locations' && <AtServers info={base.info} chosen={servers} disabled={!mayChange} change={setServers} />}
          </>
        }
      />

      {mayChange && (isDirty || isNew) && (
        <div class="save-bar" role="region" aria-label={t.review}>
          <span class="grow">
            <strong>{t.changes(changed)}</strong>
            {wrong.length > 0 && (
              <span class="save-wrong">
                <Icon name="error" size={14} /> {t.problem(wrong.length)}: {wrong.map(({ key }) => key).join(', ')}
              </span>
            )}
          </span>
          <Button
            kind="quiet"
            onClick={() => {
              unsaved.value = '';
              leaveGuard.value = null;
              if (isNew) go('configuration', section.section);
              else {
                setDraft(base.values);
                setServers(base.servers);
                setVersion(version + 1);
              }
            }}
          >
            {isNew ? common().cancel : t.discard}
          </Button>
          <Button kind="primary" disabled={wrong.length > 0 || nameWrong !== null || changes.length === 0} onClick={() => setDialog('review')}>
            {t.review}
          </Button>
        </div>
      )}

      {dialog === 'review' && (
        <Review changes={changes} etag={base.info.etag} onClose={() => setDialog(null)} onSaved={saved} onConflict={() => void conflict()} />
      )}
      {dialog === 'merge' && theirs !== null && (
        <MergeItem
          subject={subjectOf(section.section, name)}
          base={base.values}
          mine={mine}
          theirs={isNew || itemOf(theirs.info, section.section, name) !== null || !section.named ? theirs.values : null}
          onClose={() => setDialog(null)}
          onMerged={(values) => {
            const added = new Set([...servers].filter((one) => !base.servers.has(one)));
            const taken = new Set([...base.servers].filter((one) => !servers.has(one)));
            setServers(new Set([...[...theirs.servers].filter((one) => !taken.has(one)), ...added]));
            setBase(theirs);
            setDraft(values);
            setVersion(version + 1);
            setDialog('review');
          }}
        />
      )}
    </div>
  );
}

function baseOf(info: ConfigInfo, section: string, name: string): Base {
  return { info, values: itemOf(info, section, name)?.values ?? {}, servers: section === 'locations' ? serversOf(info, name) : new Set() };
}

/** Where there is one server, a new location is meant for it. */
function onlyServerOf(info: ConfigInfo): ReadonlySet<string> {
  const servers = info.sections['servers'] ?? [];
  return new Set(servers.length === 1 ? [servers[0]!.name] : []);
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}

/** Asks before what was typed is lost. */
export async function mayLeave(): Promise<boolean> {
  const what = unsaved.peek();
  if (what === '') return true;
  const t = configurationWords();
  const leaves = (await confirm({ title: t.unsavedTitle, text: t.unsavedText(what), yes: t.leave, danger: true })) !== null;
  if (leaves) unsaved.value = '';
  return leaves;
}

/** Where an item stands, and who needs it. */
function About({ config, section, name }: { config: Config; section: string; name: string }) {
  const t = configurationWords();
  const item = itemOf(config.info, section, name);
  if (item === null) return null;
  return (
    <div class="item-about">
      <span>
        <span class="faint">{t.inFile}</span>{' '}
        <a href={href('configuration', ['files', item.file], { line: String(item.line) })}>
          {item.file}
          {item.line > 0 && `:${item.line}`}
        </a>
      </span>
      {item.usedBy.length > 0 && (
        <span class="row row-wrap">
          <span class="faint">{t.usedBy}</span>
          {item.usedBy.map((subject) => {
            const [of, ...rest] = subject.split('.');
            return (
              <a key={subject} href={itemHref(of!, rest.join('.'))}>
                {subject}
              </a>
            );
          })}
        </span>
      )}
    </div>
  );
}

/** Which servers list a location: it stands in theirs, but is set where people look for it. */
function AtServers({
  info,
  chosen,
  disabled,
  change,
}: {
  info: ConfigInfo;
  chosen: ReadonlySet<string>;
  disabled: boolean;
  change(servers: ReadonlySet<string>): void;
}) {
  const t = configurationWords();
  const servers = info.sections['servers'] ?? [];
  return (
    <div class="form-group">
      <fieldset class="setting">
        <legend class="unseen">{t.atServers}</legend>
        <div class="setting-about">
          <span class="setting-label">{t.atServers}</span>
          <p class="setting-help">{t.atServersHelp}</p>
        </div>
        <div class="setting-input checks">
          {servers.map(({ name, values }) => (
            <label class="check" key={name}>
              <input
                type="checkbox"
                checked={chosen.has(name)}
                disabled={disabled}
                onChange={(event) => {
                  const next = new Set(chosen);
                  if (event.currentTarget.checked) next.add(name);
                  else next.delete(name);
                  change(next);
                }}
              />
              {name}
              <span class="faint small">
                {Array.isArray(values['addr']) ? values['addr'].join(', ') : String((values['addr'] as string | undefined) ?? '')}
              </span>
            </label>
          ))}
          {chosen.size === 0 && <span class="field-warning">{t.nowhere}</span>}
        </div>
      </fieldset>
    </div>
  );
}
