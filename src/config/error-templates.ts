import { compile, ErrorPages, type ErrorTemplates } from '../proxy/error-pages.ts';
import { list, scalar, type Kind } from '../schema/kind.ts';
import { Wrong } from '../schema/wrong.ts';

/** What errors look like: one page, or one in HTML and one in JSON. */
export function errorTemplates(): Kind<readonly string[]> {
  const one = scalar('TEXT', 'HTML page, or JSON when it begins with a brace', (given) => {
    compile(given);
    return given;
  });
  const several = list(one, /(?!)/, 'a list of one of each');
  return {
    ...several,
    fromToml: (value, folder) => checked(several.fromToml(value, folder)),
    format: (texts) => (texts.length === 0 ? 'none' : texts.join('\n')),
  };
}

function checked(general: readonly string[]): readonly string[] {
  // Two of one kind are refused.
  new ErrorPages('', { general, byStatus: new Map() });
  return general;
}

/** The same by status: `404`, or `4xx` and `5xx` for all of that kind. */
export function errorTemplatesByStatus(): Kind<ErrorTemplates['byStatus']> {
  const one = errorTemplates();
  const wanted = "write a table such as { 404 = '…', 5xx = '…' }";
  return {
    ...one,
    word: 'TABLE',
    says: 'table of pages by status, such as { 404 = "…", 5xx = "…" }',
    parse: () => {
      throw new Wrong('is no table', wanted);
    },
    fromToml: (value, folder) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Date) throw new Wrong('is no table', wanted);
      const byStatus = new Map(Object.entries(value).map(([status, texts]) => [status, one.fromToml(texts, folder)]));
      new ErrorPages('', { general: [], byStatus });
      return byStatus;
    },
    format: (texts) => (texts.size === 0 ? 'none' : [...texts.keys()].join(',')),
    json: { type: 'object', additionalProperties: false, patternProperties: { '^[45](\\d\\d|xx)$': one.json } },
  };
}
