/** Where a key stands: line and column from 1. Null when it cannot be found. Slow and large to load, so only for errors. */
export async function positionOf(text: string, path: readonly string[]): Promise<{ line: number; column: number } | null> {
  const { parseTOML, getStaticTOMLValue } = await import('toml-eslint-parser');
  try {
    for (const node of parseTOML(text).body[0].body) {
      const isTable = node.type === 'TOMLTable';
      const prefix = isTable ? node.resolvedKey : [];
      if (isTable && isSame(prefix, path)) return at(node.key.loc.start);
      for (const pair of isTable ? node.body : [node]) {
        const key = [...prefix, ...pair.key.keys.map((part) => String(getStaticTOMLValue(part)))];
        if (isSame(key.slice(0, path.length), path)) return at(pair.key.loc.start);
      }
      if (isTable && isSame(prefix.slice(0, path.length), path)) return at(node.key.loc.start);
    }
  } catch {
    // The two parsers may disagree about a strange file; an error without its line is better than none.
  }
  return null;
}

function isSame(a: readonly (string | number)[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((part, i) => String(part) === b[i]);
}

function at(start: { line: number; column: number }): { line: number; column: number } {
  return { line: start.line, column: start.column + 1 };
}
