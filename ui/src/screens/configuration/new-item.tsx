import { useState } from 'preact/hooks';
import type { FormSection } from '../../../../src/admin/model.ts';
import { SearchField } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { isHidden } from '../../forms/field-value.ts';
import { beginningOf } from '../../forms/kind-of.ts';
import type { Values } from '../../forms/values.ts';
import { href } from '../../router.ts';
import { type Config, itemOf } from './config.ts';
import { ItemPage, sectionTitle } from './item-page.tsx';
import { configurationWords } from './words.ts';

/** A new item: of which kind, where there are several, and then its form. */
export function NewItem({ config, section, query }: { config: Config; section: FormSection; query: URLSearchParams }) {
  const cloned = query.get('clone');
  const kind = query.get('kind');
  const t = configurationWords();
  if (cloned !== null) {
    const values = withoutSecrets(itemOf(config.info, section.section, cloned)?.values ?? {});
    return <ItemPage config={config} section={section} name={t.cloneOf(cloned)} beginning={values} />;
  }
  if (section.kinds.length > 1 && kind === null) return <KindPicker section={section} />;
  return <ItemPage config={config} section={section} name="" beginning={beginningOf(section, kind ?? '')} />;
}

/** What is not shown cannot be copied: a clone begins without it. */
function withoutSecrets(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !hides(value)));
}

function hides(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hides);
  return typeof value === 'object' && value !== null ? Object.values(value).some(hides) : isHidden(value);
}

function KindPicker({ section }: { section: FormSection }) {
  const t = configurationWords();
  const [find, setFind] = useState('');
  const words = find.toLowerCase().split(/\s+/);
  const kinds = section.kinds.filter(({ kind, says }) => kind !== '' && words.every((word) => `${kind} ${says}`.toLowerCase().includes(word)));
  const isPlugins = section.section === 'plugins';
  return (
    <div class="config-page">
      <header class="config-head">
        <div class="grow">
          <a class="config-back" href={href('configuration', section.section)}>
            <Icon name="left" size={14} /> {sectionTitle(section.section)}
          </a>
          <h2 class="config-title">
            {t.add[section.section]}: {t.pickKind}
          </h2>
        </div>
        {isPlugins && <SearchField label={t.findKind} value={find} onInput={setFind} shortcut />}
      </header>
      <ul class="kinds">
        {kinds.map(({ kind, says }) => (
          <li key={kind}>
            <a class="kind" href={href('configuration', section.section, { new: '1', kind })}>
              <strong>{kind === 'module' ? t.ownPlugin : (t.kinds[kind] ?? kind)}</strong>
              <span class="soft">{says}</span>
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}
