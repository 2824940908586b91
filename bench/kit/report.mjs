// What a scenario found, as text for a terminal and as Markdown for docs/.

/**
 * @typedef {object} Check a figure with a target
 * @property {string} measure
 * @property {number} figure
 * @property {string} unit
 * @property {'<=' | '>='} sign
 * @property {number} target
 * @property {'ok' | 'over' | 'under' | 'invalid' | 'not measured' | 'not comparable'} verdict
 * @property {string} [note]
 */

/**
 * @typedef {object} Finding
 * @property {string} title
 * @property {string[]} columns
 * @property {string[][]} rows
 * @property {string[]} notes
 * @property {Check[]} checks
 * @property {unknown} [raw]
 */

/**
 * @param {string} measure @param {number} figure @param {string} unit @param {'<=' | '>='} sign @param {number} target
 * @param {{ invalid?: string | null, comparable?: boolean, note?: string }} [options] @returns {Check}
 */
export function judge(measure, figure, unit, sign, target, options = {}) {
  const base = { measure, figure, unit, sign, target, ...(options.note === undefined ? {} : { note: options.note }) };
  if (options.invalid) return { ...base, verdict: 'invalid', note: options.invalid };
  if (!Number.isFinite(figure)) return { ...base, verdict: 'not measured' };
  if (options.comparable === false) return { ...base, verdict: 'not comparable' };
  if (sign === '<=') return { ...base, verdict: figure <= target ? 'ok' : 'over' };
  return { ...base, verdict: figure >= target ? 'ok' : 'under' };
}

/** @param {Finding} finding */
export function asText(finding) {
  const all = [finding.columns, ...finding.rows];
  const widths = finding.columns.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
  return [`\n${finding.title}`, ...lines, ...finding.notes.map((note) => `note: ${note}`), ...finding.checks.map(line)].join('\n');
}

/** @param {Finding} finding */
export function asMarkdown(finding) {
  const row = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |`;
  const lines = [`### ${finding.title}`, '', row(finding.columns), row(finding.columns.map(() => '---')), ...finding.rows.map(row), ''];
  for (const note of finding.notes) lines.push(`- ${note}`);
  if (finding.notes.length > 0) lines.push('');
  return lines.join('\n');
}

/** Every target beside its figure. @param {Check[]} checks @returns {Finding} */
export function summary(checks) {
  return {
    title: 'Targets',
    columns: ['measure', 'figure', 'target', 'verdict'],
    rows: checks.map((check) => [
      check.measure,
      amount(check),
      `${check.sign} ${number(check.target)}${check.unit}`,
      `${check.verdict}${check.note === undefined ? '' : ` (${check.note})`}`,
    ]),
    notes: [],
    checks: [],
  };
}

/** @param {Check} check */
function line(check) {
  return `${check.verdict === 'ok' ? 'ok   ' : check.verdict.toUpperCase()} ${check.measure}: ${amount(check)}, target ${check.sign} ${number(check.target)}${check.unit}${check.note === undefined ? '' : ` (${check.note})`}`;
}

/** @param {Check} check */
function amount(check) {
  return Number.isFinite(check.figure) ? `${number(check.figure)}${check.unit}` : '-';
}

/** @param {number} value */
function number(value) {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toFixed(2)));
}
