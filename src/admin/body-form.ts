import { isDeepStrictEqual } from 'node:util';
import type { JsonSchema } from '../schema/kind.ts';
import { adminLimits } from './limits.ts';

/** Something in a body that is not as it should be. */
export interface BodyProblem {
  /** JSON Pointer (RFC 6901); '' = the whole. */
  readonly at: string;
  readonly message: string;
}

/**
 * What is wrong with a value, the first few things. Knows of JSON Schema: type, properties, required, additionalProperties, propertyNames (pattern), items, enum,
 * const, oneOf, anyOf, minLength, maxLength, pattern, minimum, maximum, minItems, maxItems. Unlike there, an object with `properties` takes no others
 * unless `additionalProperties` says so: a member that is misspelled is an error.
 */
export function problemsOf(value: unknown, schema: JsonSchema): readonly BodyProblem[] {
  const found: BodyProblem[] = [];
  check(value, schema, '', found);
  return found.slice(0, adminLimits.bodyProblems);
}

function check(value: unknown, schema: JsonSchema, at: string, found: BodyProblem[]): void {
  if (found.length >= adminLimits.bodyProblems) return;
  const say = (message: string): void => void found.push({ at, message });
  const { type, enum: choices, oneOf, anyOf } = schema;
  if (type !== undefined) {
    const types = Array.isArray(type) ? (type as string[]) : [type as string];
    if (!types.some((one) => isOf(value, one))) {
      say(`must be ${types.map((one) => WORDS[one] ?? one).join(' or ')}`);
      return;
    }
  }
  if (Array.isArray(choices) && !choices.some((one) => isDeepStrictEqual(one, value))) say(`must be one of ${choices.map(String).join(', ')}`);
  if ('const' in schema && !isDeepStrictEqual(schema['const'], value)) say(`must be ${JSON.stringify(schema['const'])}`);
  const ways = (oneOf ?? anyOf) as readonly JsonSchema[] | undefined;
  if (ways !== undefined) checkWays(value, ways, at, found);
  if (typeof value === 'string') checkText(value, schema, say);
  else if (typeof value === 'number') checkNumber(value, schema, say);
  else if (Array.isArray(value)) checkItems(value, schema, at, found, say);
  else if (typeof value === 'object' && value !== null) checkMembers(value as Record<string, unknown>, schema, at, found);
}

/** Of several ways that all fail, the one that fits best is told of. */
function checkWays(value: unknown, ways: readonly JsonSchema[], at: string, found: BodyProblem[]): void {
  let best: BodyProblem[] | null = null;
  for (const way of ways) {
    const problems: BodyProblem[] = [];
    check(value, way, at, problems);
    if (problems.length === 0) return;
    if (best === null || problems.length < best.length) best = problems;
  }
  if (best !== null) found.push(...best);
}

function checkText(value: string, schema: JsonSchema, say: (message: string) => void): void {
  const { minLength, maxLength, pattern } = schema;
  if (typeof minLength === 'number' && value.length < minLength) say(minLength === 1 ? 'is empty' : `is shorter than ${minLength} characters`);
  if (typeof maxLength === 'number' && value.length > maxLength) say(`is longer than ${maxLength} characters`);
  // Patterns are ours, and the text is bounded: none of them goes back and forth.
  else if (typeof pattern === 'string' && !new RegExp(pattern, 'u').test(value)) say(`does not match ${pattern}`);
}

function checkNumber(value: number, { minimum, maximum }: JsonSchema, say: (message: string) => void): void {
  if (typeof minimum === 'number' && value < minimum) say(`is less than ${minimum}`);
  if (typeof maximum === 'number' && value > maximum) say(`is more than ${maximum}`);
}

function checkItems(value: readonly unknown[], schema: JsonSchema, at: string, found: BodyProblem[], say: (message: string) => void): void {
  const { items, minItems, maxItems } = schema;
  if (typeof minItems === 'number' && value.length < minItems) say(`has fewer than ${minItems} items`);
  if (typeof maxItems === 'number' && value.length > maxItems) {
    say(`has more than ${maxItems} items`);
    return;
  }
  if (typeof items === 'object' && items !== null) for (const [i, item] of value.entries()) check(item, items as JsonSchema, `${at}/${i}`, found);
}

function checkMembers(value: Readonly<Record<string, unknown>>, schema: JsonSchema, at: string, found: BodyProblem[]): void {
  const { required, properties, propertyNames, additionalProperties = properties === undefined } = schema;
  for (const name of (required as readonly string[] | undefined) ?? []) {
    if (!Object.hasOwn(value, name)) found.push({ at: `${at}/${pointer(name)}`, message: 'is missing' });
  }
  for (const [name, member] of Object.entries(value)) {
    const where = `${at}/${pointer(name.slice(0, 100))}`;
    if (propertyNames !== undefined) {
      const problems = problemsOf(name, propertyNames as JsonSchema);
      if (problems.length > 0) found.push({ at: where, message: `has a name that ${problems[0]!.message}` });
    }
    const known = properties as Readonly<Record<string, JsonSchema>> | undefined;
    if (known !== undefined && Object.hasOwn(known, name)) check(member, known[name]!, where, found);
    else if (additionalProperties === false) {
      const names = Object.keys(known ?? {});
      found.push({ at: where, message: names.length === 0 ? 'is not known here' : `is not known here; there is ${names.join(', ')}` });
    } else if (typeof additionalProperties === 'object' && additionalProperties !== null)
      check(member, additionalProperties as JsonSchema, where, found);
    if (found.length >= adminLimits.bodyProblems) return;
  }
}

function pointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function isOf(value: unknown, type: string): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isSafeInteger(value);
    default:
      return typeof value === type;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  null: 'null',
  array: 'a list',
  object: 'an object',
  integer: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
};
