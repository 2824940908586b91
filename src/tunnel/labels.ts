/** Labels that may have several values, separated by spaces or commas: what an agent says it serves. */
const LISTS: ReadonlySet<string> = new Set(['route', 'host', 'models']);
/** Values of one of them; what comes behind is not looked at. 32 hosts with 32 routes each are 1,024 places to be found at. */
const ITEMS = 32;

/** The values of a label: several where it may have several, else the one. */
export function labelItems(label: string, value: string): readonly string[] {
  if (!LISTS.has(label)) return [value];
  return value
    .split(/[\s,]+/)
    .filter((item) => item !== '')
    .slice(0, ITEMS);
}

/**
 * The labels of an agent whose token says something about them: a label that the token names has the token's values, or some of them where there may
 * be several. Not announced, it is the token's all the same.
 * @returns the name of a label that goes beyond the token
 */
export function labelsWithin(announced: ReadonlyMap<string, string>, allowed: ReadonlyMap<string, string>): ReadonlyMap<string, string> | string {
  if (allowed.size === 0) return announced;
  const labels = new Map(announced);
  for (const [label, value] of allowed) {
    const said = announced.get(label);
    if (said === undefined) labels.set(label, value);
    else if (said !== value) {
      // One that may have several values and is said to have none would be free of its bounds.
      const items = labelItems(label, said);
      const all = new Set(labelItems(label, value));
      if (items.length === 0 || !items.every((item) => all.has(item))) return label;
    }
  }
  return labels;
}
