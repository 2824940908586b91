/** What a query of Prometheus is made of, as far as dashboards and alerts here need it. */
export type Query =
  | { readonly of: 'number'; readonly value: number }
  | { readonly of: 'text'; readonly value: string }
  | { readonly of: 'selector'; readonly name: string; readonly matchers: readonly Matcher[]; readonly range: boolean }
  | { readonly of: 'call'; readonly name: string; readonly args: readonly Query[] }
  | {
      readonly of: 'aggregate';
      readonly name: string;
      readonly args: readonly Query[];
      readonly by: readonly string[] | null;
      readonly without: readonly string[] | null;
    }
  | {
      readonly of: 'binary';
      readonly op: string;
      readonly left: Query;
      readonly right: Query;
      readonly on: readonly string[] | null;
      readonly ignoring: readonly string[] | null;
    };

export interface Matcher {
  readonly label: string;
  readonly op: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}

/** Reads a query. @throws Error where it is none */
export function readQuery(text: string): Query {
  const parser = new Parser(text);
  const query = parser.expression(0);
  parser.end();
  return query;
}

/** Labels that the series of a metric have; null = there is no such metric. */
export type LabelsOf = (name: string) => ReadonlySet<string> | null;

/**
 * Labels that the result has; null for a number. @throws Error when a metric or a label is not there, or when two sides can never match
 */
export function labelsIn(query: Query, labelsOf: LabelsOf): ReadonlySet<string> | null {
  switch (query.of) {
    case 'number':
    case 'text':
      return null;
    case 'selector': {
      const labels = labelsOf(query.name);
      if (labels === null) throw new Error(`there is no metric ${query.name}`);
      for (const { label } of query.matchers) if (!labels.has(label)) throw new Error(`${query.name} has no label ${label}`);
      return labels;
    }
    case 'call':
      return labelsOfCall(query, labelsOf);
    case 'aggregate': {
      const inner = labelsIn(query.args.at(-1)!, labelsOf);
      if (inner === null) throw new Error(`${query.name} of a number`);
      for (const label of [...(query.by ?? []), ...(query.without ?? [])])
        if (!inner.has(label)) throw new Error(`${query.name} by ${label}, which is not there (${[...inner].join(', ')})`);
      if (query.name === 'topk' || query.name === 'bottomk') return inner;
      return new Set(query.without === null ? (query.by ?? []) : [...inner].filter((label) => !query.without!.includes(label)));
    }
    case 'binary':
      return labelsOfBinary(query, labelsOf);
  }
}

/** All selectors of a query. */
export function selectorsIn(query: Query): Extract<Query, { of: 'selector' }>[] {
  if (query.of === 'selector') return [query];
  if (query.of === 'call' || query.of === 'aggregate') return query.args.flatMap(selectorsIn);
  return query.of === 'binary' ? [...selectorsIn(query.left), ...selectorsIn(query.right)] : [];
}

function labelsOfCall({ name, args }: Extract<Query, { of: 'call' }>, labelsOf: LabelsOf): ReadonlySet<string> | null {
  if (name === 'time') return null;
  if (name === 'vector') return new Set();
  const inner = args.map((arg) => labelsIn(arg, labelsOf)).find((labels) => labels !== null);
  if (inner === undefined) throw new Error(`${name} of nothing`);
  if (name !== 'histogram_quantile') return inner;
  if (!inner.has('le')) throw new Error('histogram_quantile of what has no buckets (le)');
  return new Set([...inner].filter((label) => label !== 'le'));
}

function labelsOfBinary({ op, left, right, on, ignoring }: Extract<Query, { of: 'binary' }>, labelsOf: LabelsOf): ReadonlySet<string> | null {
  const [a, b] = [labelsIn(left, labelsOf), labelsIn(right, labelsOf)];
  if (a === null || b === null) return a ?? b;
  if (op === 'or') return a;
  const matched = (labels: ReadonlySet<string>): string[] =>
    on === null ? [...labels].filter((label) => ignoring?.includes(label) !== true) : on.filter((label) => labels.has(label));
  const [these, those] = [matched(a).toSorted().join(), matched(b).toSorted().join()];
  if (these !== those || (on !== null && matched(a).length !== on.length)) throw new Error(`the sides of ${op} never match: ${these} and ${those}`);
  return op === 'and' || op === 'unless' ? a : new Set(matched(a));
}

const AGGREGATIONS = new Set(['sum', 'min', 'max', 'avg', 'count', 'topk', 'bottomk', 'quantile']);
/** Functions, and whether their last argument is a range. */
const FUNCTIONS = new Map([
  ['rate', true],
  ['increase', true],
  ['changes', true],
  ['max_over_time', true],
  ['histogram_quantile', false],
  ['clamp_min', false],
  ['vector', false],
  ['time', false],
  ['sort', false],
]);
const PRECEDENCE = new Map([
  ['or', 1],
  ['and', 2],
  ['unless', 2],
  ...['==', '!=', '<=', '>=', '<', '>'].map((op) => [op, 3] as const),
  ['+', 4],
  ['-', 4],
  ['*', 5],
  ['/', 5],
  ['%', 5],
]);
const TOKEN =
  /\s*(?:(\d+(?:\.\d+)?(?:ms|[smhdwy])(?![\w.]))|(\d+(?:\.\d+)?)|("(?:[^"\\]|\\.)*")|([a-zA-Z_:][\w:]*)|(==|!=|<=|>=|=~|!~|[-+*/%<>=(){}[\],:]))/y;

interface Token {
  readonly kind: 'duration' | 'number' | 'text' | 'word' | 'sign' | 'end';
  readonly text: string;
}

class Parser {
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(text: string) {
    const kinds = ['duration', 'number', 'text', 'word', 'sign'] as const;
    TOKEN.lastIndex = 0;
    const source = text.trimEnd();
    for (let from = 0; from < source.length; from = TOKEN.lastIndex) {
      TOKEN.lastIndex = from;
      const match = TOKEN.exec(source);
      if (match === null) throw new Error(`not a query from here: ${source.slice(from)}`);
      const kind = kinds.findIndex((_, i) => match[i + 1] !== undefined);
      this.#tokens.push({ kind: kinds[kind]!, text: match[kind + 1]! });
    }
  }

  expression(least: number): Query {
    let left = this.#unary();
    for (;;) {
      const op = this.#peek.text;
      const precedence = this.#peek.kind === 'text' ? undefined : PRECEDENCE.get(op);
      if (precedence === undefined || precedence <= least) return left;
      this.#at++;
      let on: string[] | null = null;
      let ignoring: string[] | null = null;
      if (this.#takes('on')) on = this.#names();
      else if (this.#takes('ignoring')) ignoring = this.#names();
      left = { of: 'binary', op, left, right: this.expression(precedence), on, ignoring };
    }
  }

  end(): void {
    if (this.#peek.kind !== 'end') throw new Error(`more than a query: ${this.#peek.text}`);
  }

  #unary(): Query {
    const { kind, text } = this.#next();
    if (kind === 'number') return { of: 'number', value: Number(text) };
    if (kind === 'text') return { of: 'text', value: text };
    if (text === '(') {
      const inner = this.expression(0);
      this.#expect(')');
      return inner;
    }
    if (kind === 'word' && AGGREGATIONS.has(text)) return this.#aggregate(text);
    if (kind === 'word' && this.#peek.text === '(') return this.#call(text);
    if (kind === 'word') return this.#selector(text);
    throw new Error(`not here: ${text}`);
  }

  #aggregate(name: string): Query {
    let by: string[] | null = null;
    let without: string[] | null = null;
    const grouping = (): void => {
      if (this.#takes('by')) by = this.#names();
      else if (this.#takes('without')) without = this.#names();
    };
    grouping();
    const args = this.#args();
    if (by === null && without === null) grouping();
    if (args.length !== (['topk', 'bottomk', 'quantile'].includes(name) ? 2 : 1)) throw new Error(`${name} has ${args.length} arguments`);
    for (const { range } of args.filter((arg) => arg.of === 'selector')) if (range) throw new Error(`${name} of a range`);
    return { of: 'aggregate', name, args, by, without };
  }

  #call(name: string): Query {
    const wantsRange = FUNCTIONS.get(name);
    if (wantsRange === undefined) throw new Error(`there is no function ${name} here`);
    const args = this.#args();
    for (const arg of args) {
      const isRange = arg.of === 'selector' && arg.range;
      if (isRange !== wantsRange) throw new Error(`${name} takes ${wantsRange ? 'a range, as in x[5m]' : 'no range'}`);
    }
    return { of: 'call', name, args };
  }

  #selector(name: string): Query {
    const matchers: Matcher[] = [];
    if (this.#takes('{')) {
      while (!this.#takes('}')) {
        const label = this.#next();
        const { text: op } = this.#next();
        const value = this.#next();
        if (label.kind !== 'word' || !['=', '!=', '=~', '!~'].includes(op) || value.kind !== 'text')
          throw new Error(`not a matcher: ${label.text}${op}${value.text}`);
        matchers.push({ label: label.text, op: op as Matcher['op'], value: JSON.parse(value.text) as string });
        if (this.#peek.text !== '}') this.#expect(',');
      }
    }
    const range = this.#takes('[');
    if (range) {
      if (this.#next().kind !== 'duration') throw new Error(`${name}[…] has no duration`);
      this.#expect(']');
    }
    return { of: 'selector', name, matchers, range };
  }

  #args(): Query[] {
    this.#expect('(');
    const args: Query[] = [];
    while (!this.#takes(')')) {
      args.push(this.expression(0));
      if (this.#peek.text !== ')') this.#expect(',');
    }
    return args;
  }

  #names(): string[] {
    this.#expect('(');
    const names: string[] = [];
    while (!this.#takes(')')) {
      names.push(this.#next().text);
      if (this.#peek.text !== ')') this.#expect(',');
    }
    return names;
  }

  get #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: '' };
  }

  #next(): Token {
    const token = this.#peek;
    if (token.kind === 'end') throw new Error('the query ends too early');
    this.#at++;
    return token;
  }

  #takes(text: string): boolean {
    const { kind, text: is } = this.#peek;
    if (kind === 'text' || is !== text) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    const { text: is } = this.#next();
    if (is !== text) throw new Error(`${is} where ${text} should be`);
  }
}
