import type { FormSection } from '../../../src/admin/model.ts';
import type { Values } from './values.ts';

type Kind = FormSection['kinds'][number];

/** The form of an item: an upstream is made of addresses or of agents, a plugin has a category. Null: no form is made for it, as for plugins of one's own. */
export function kindOf(section: FormSection, values: Values): Kind | null {
  const [first] = section.kinds;
  if (first === undefined) return null;
  if (section.kinds.length === 1 && first.kind === '') return first;
  if (section.section === 'upstreams') return named(section, Object.hasOwn(values, 'agents') ? 'agents' : 'addresses') ?? first;
  const { category, module } = values;
  return (module === undefined && typeof category === 'string' ? named(section, category.replaceAll('-', '_')) : null) ?? named(section, 'module');
}

function named(section: FormSection, kind: string): Kind | null {
  return section.kinds.find((one) => one.kind === kind) ?? null;
}

/** Values that make an item of this kind, before anything else is said about it. */
export function beginningOf(section: FormSection, kind: string): Values {
  if (section.section === 'upstreams') return kind === 'agents' ? { agents: '*' } : {};
  return section.section === 'plugins' && kind !== 'module' ? { category: kind } : {};
}
