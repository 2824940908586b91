import type { Table } from '../schema/setting.ts';
import { agentTable } from './agent.ts';
import { hubTable } from './hub.ts';
import { ItemReader } from './item.ts';
import { proxyTable } from './proxy.ts';
import { readText } from './read-text.ts';
import type { Report } from './report.ts';
import type { Tree } from './tree.ts';

const TABLES: ReadonlyMap<string, Table> = new Map<string, Table>([
  ['hub', hubTable],
  ['agent', agentTable],
  ['proxy', proxyTable],
]);

/** Looks at the sections that other commands have in the same file. What they need and lack may come from flags or the environment, so it is not missed. */
export function checkOthers(tree: Tree, report: Report): void {
  for (const [section, item] of tree.others) {
    const table = TABLES.get(section)!;
    const optional = Object.fromEntries(Object.entries(table).map(([name, setting]) => [name, { fallback: null, ...setting }]));
    new ItemReader(optional).read(item, readText, report);
  }
}
