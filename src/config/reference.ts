import { fileTwin, tomlName, type Setting, type Table } from '../schema/setting.ts';
import { pingapKeys } from './pingap-keys.ts';
import { sectionPages, type SectionPage } from './section-pages.ts';

/** The page docs/reference/config.md, made from the tables that read the file. */
export function configReference(): string {
  const parts = [INTRODUCTION, ...sectionPages.map(sectionText)];
  return `${parts.join('\n\n')}\n`;
}

const INTRODUCTION = `# The gateway's file

<!-- Generated from the tables that read the file; npx vitest run src/config/reference.test.ts -u writes it anew. -->

\`windlass run -c windlass.toml\` reads a TOML file, or every \`*.toml\` of a folder as one. \`windlass check windlass.toml\` says what is wrong with it and shows in which order
locations are asked; \`windlass example --full\` prints a file with every key; \`windlass schema\` prints a JSON Schema for editors.

- **Names.** Items have names of your choice: \`[servers.web]\`, \`[upstreams."日本"]\`. A name has no slash, and does not begin with \`$\`. What stands in two files, or twice in one, is an error.
- **Unknown keys are errors**, with their line and what was probably meant. So is everything else that cannot be used: all errors of all files are told at once.
- **Nothing.** \`""\` means that a key is not set, whatever its kind.
- **Times and sizes** have units: \`500ms\`, \`30s\`, \`1h2m3s\`; \`64KiB\` is 65,536 bytes, \`64kB\` is 64,000.
- **Lists** are lists, or text separated by commas where the items cannot hold any.
- **Paths** are relative to the folder of the file that names them.
- **Variables.** \`\${NAME}\` in a value is the environment's variable of that name, and an error when it is not set or empty; \`\${NAME:text}\` has a default; \`$\${NAME}\` is just that text.
  Only names of capital letters, digits and underscores are variables: \`$name\`, \`\${name}\` and \`$1\` are captures, and stay as they are. (A capture whose name is all capitals is written \`$NAME\`.)
- **Pieces** that several items share stand in \`[storages.NAME]\` and are taken in by \`includes = ["NAME"]\`. An item's own keys count before those it takes in.
- **Every item** may have a \`remark\`.
- **Other commands.** \`[hub]\`, \`[agent]\` and \`[proxy]\` may stand in the same file, for the commands in [cli.md](cli.md).
- **Safety.** A file that every user may write is refused, and so is a symbolic link that leads out of its folder, and an empty file. Names such as \`__proto__\` are not allowed anywhere.

The last column says where a key comes from: *yes* is a key of Pingap with the same meaning, and a name is what Pingap of April 2024 called it; that works too. Empty: it is ours.`;

function sectionText(page: SectionPage): string {
  const { section, item, says, table, retired } = page;
  const header = item === null ? `[${section}]` : `[${section}.NAME]`;
  const title = table['agents'] === undefined ? header : `${header} of agents`;
  const parts = [`## ${title}`, says];
  for (const [group, names] of groupsOf(table)) parts.push(`### ${group}`, keyTable(section, names, table));
  if (retired.size > 0) {
    parts.push(
      '### Of Pingap, not used',
      [...retired].map(([key, { level, says: why }]) => `- \`${key}\` (${level === 'error' ? 'an error' : 'a warning'}): ${why}.`).join('\n'),
    );
  }
  return parts.join('\n\n');
}

/** Names of settings by their group, in the order of the table; those of a file. */
export function groupsOf(table: Table): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const [name, { group, inFile }] of Object.entries(table)) {
    if (inFile === false) continue;
    const names = groups.get(group);
    if (names === undefined) groups.set(group, [name]);
    else names.push(name);
  }
  return groups;
}

function keyTable(section: string, names: readonly string[], table: Table): string {
  const head = ['key', 'value', 'default', 'meaning', 'Pingap'];
  const rows = names.map((name) => {
    const setting = table[name]!;
    const keys = [tomlName(name), ...(setting.secret === undefined ? [] : [tomlName(fileTwin(name))])].map((key) => `\`${key}\``).join(' ');
    return [keys, setting.kind.says, defaultText(setting), setting.help, pingapText(section, tomlName(name))];
  });
  return markdownTable(head, rows);
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n');
}

/** The default, for people. */
export function defaultText(setting: Setting<unknown>): string {
  if (setting.fallbackText !== undefined) return setting.fallbackText;
  if (!('fallback' in setting)) return '**required**';
  const text = setting.kind.format(setting.fallback);
  return text === '' || text === 'null' ? 'none' : `\`${text}\``;
}

function pingapText(section: string, key: string): string {
  const of = pingapKeys.get(section)?.get(key);
  if (of === undefined) return '';
  if (of.old !== undefined) return `\`${of.old}\``;
  return 'yes';
}
