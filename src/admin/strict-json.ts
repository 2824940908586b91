import { adminLimits } from './limits.ts';

/** Why a text is not taken as JSON. */
export class JsonError extends Error {}

/**
 * JSON as RFC 8259 has it, without what readers disagree about: a name twice in one object, `__proto__`, and depths at which others give up.
 * @throws JsonError with one line that tells what and where
 */
export function parseStrictJson(text: string): unknown {
  // Before anything is made of it.
  checkNesting(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = /position (\d+)/.exec((error as Error).message);
    throw new JsonError(`the body is no JSON${at === null ? '' : ` (at character ${Number(at[1]) + 1})`}`);
  }
  checkNames(text);
  return value;
}

function checkNesting(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = endOfString(text, i);
    else if (c === OPEN_BRACE || c === OPEN_BRACKET) {
      if (++depth > adminLimits.jsonDepth) throw new JsonError(`the body is nested deeper than ${adminLimits.jsonDepth} levels`);
    } else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) depth--;
  }
}

/** Of a text that is JSON. */
function checkNames(text: string): void {
  /** Names of the objects that are open; null stands for an array. */
  const open: (Set<string> | null)[] = [];
  let before = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      const end = endOfString(text, i);
      const names = open.at(-1);
      // In an object a string behind { or , is a name.
      if (names !== null && names !== undefined && before !== COLON) {
        const name = JSON.parse(text.slice(i, end + 1)) as string;
        if (names.has(name)) throw new JsonError(`the body has ${JSON.stringify(name.slice(0, 100))} twice in one object`);
        if (name === '__proto__') throw new JsonError('the body has a member __proto__');
        names.add(name);
      }
      i = end;
    } else if (c === OPEN_BRACE) open.push(new Set());
    else if (c === OPEN_BRACKET) open.push(null);
    else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) open.pop();
    if (c > SPACE) before = c;
  }
}

/** Where the closing quote is; the end of the text when there is none. */
function endOfString(text: string, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) return i;
    if (c === BACKSLASH) i++;
  }
  return text.length;
}

const SPACE = 0x20;
const QUOTE = 0x22;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
