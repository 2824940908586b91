import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { failures } from '../src/http/failure.ts';
import { PLACEHOLDERS } from '../src/proxy/error-pages.ts';
import { LOG_FORMATS, LOG_TAGS } from '../src/schema/log-template.ts';

const page = (name: string): string => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8');

/** The rows of the table under this heading, without its own two lines. */
function tableUnder(text: string, heading: string): string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`no heading ${heading}`);
  return section.split('\n').filter((line) => line.startsWith('| `'));
}

describe('docs/access-log.md', () => {
  test('lists every tag as the program knows it', () => {
    const rows = Object.entries(LOG_TAGS).map(([tag, { type, says }]) => `| \`{${tag}}\` | ${says}${type === 'time' ? ', ms' : ''} |`);
    expect(tableUnder(page('access-log.md'), 'Tags')).toEqual(rows);
  });

  test('shows the named formats', () => {
    for (const [name, template] of LOG_FORMATS) if (name !== 'json') expect(page('access-log.md')).toContain(`| \`${name}\` | \`${template}\` |`);
  });
});

describe('docs/grpc.md', () => {
  test('lists codes under the gRPC status that they have, and all that are not UNAVAILABLE', () => {
    const rows = page('grpc.md').matchAll(/^\| (\d+) [A-Z_]+ \| ([^|]*) \| [^|]* \|$/gm);
    const told = [...rows].flatMap(([, status, codes]) => [...codes!.matchAll(/`(\w+)`/g)].map(([, code]) => [code!, Number(status)] as const));
    const wanted = new Map(Object.entries(failures).map(([code, [, grpc]]) => [code, grpc as number]));
    for (const [code, status] of told) expect([code, wanted.get(code)]).toEqual([code, status]);
    // No call of gRPC is an upgrade.
    const goesWithout = (code: string, status: number): boolean => status === 14 || status === 1 || /^(?:upgrade|websocket)_/.test(code);
    const missing = [...wanted].filter(([code, status]) => !goesWithout(code, status) && !told.some(([one]) => one === code));
    expect(missing).toEqual([]);
  });
});

describe('docs/errors.md', () => {
  test('lists every failure code with its status', () => {
    const told = tableUnder(page('errors.md'), 'Codes').map((row) => row.split(' | ').slice(0, 4).join(' | '));
    const rows = Object.entries(failures).map(([code, [status, , error, blame]]) => `| \`${code}\` | ${status} | \`${error}\` | ${blame}`);
    expect(told).toEqual(rows);
  });

  test('says of every code what it means', () => {
    for (const row of tableUnder(page('errors.md'), 'Codes')) expect(row.split(' | ')).toHaveLength(5);
    for (const row of tableUnder(page('errors.md'), 'Codes')) expect(row).toMatch(/ \| \S[^|]* \|$/);
  });

  test('lists the placeholders of templates', () => {
    expect(tableUnder(page('errors.md'), 'Pages of your own').map((row) => row.split('`')[1])).toEqual(PLACEHOLDERS.map((name) => `{{${name}}}`));
  });
});
