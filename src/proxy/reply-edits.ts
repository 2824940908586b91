// HOT: apply() runs per answer of a location that edits the headers of answers.
import { fieldLine, type ResponseHead } from '../http/head.ts';
import { idOfName } from '../http/names.ts';
import { Wrong } from '../schema/wrong.ts';
import type { FieldText } from './field-edits.ts';
import type { ReplyEdits } from './location.ts';
import { compileTemplate } from './template.ts';

export interface ReplyEditSettings {
  readonly set: readonly FieldText[];
  readonly add: readonly FieldText[];
  readonly remove: readonly string[];
}

/**
 * What a location does to the headers of answers: removes, then sets, then adds. Values are the same for all answers: what was asked is gone by
 * then. Null when there is nothing to do. @throws Wrong
 */
export function compileReplyEdits({ set, add, remove }: ReplyEditSettings, env: Readonly<Record<string, string | undefined>>): ReplyEdits | null {
  if (set.length === 0 && add.length === 0 && remove.length === 0) return null;
  const removed = [...new Set([...remove, ...set.map(({ name }) => name)].map((name) => name.toLowerCase()))];
  return new Edits(removed, [...set, ...add].map((text) => lineOf(text, env)).join(''));
}

function lineOf({ name, value }: FieldText, env: Readonly<Record<string, string | undefined>>): string {
  const text = compileTemplate(value, { env, captures: new Set() }).constant;
  if (text === null)
    throw new Wrong('has a variable of the request in it, which is gone when the answer comes', 'write fixed text', `${name}: ${value}`);
  return fieldLine(name, text);
}

class Edits implements ReplyEdits {
  readonly #removed: readonly { readonly name: string; readonly id: number }[];
  readonly #lines: string;

  constructor(removed: readonly string[], lines: string) {
    this.#removed = removed.map((name) => ({ name, id: idOfName(name) }));
    this.#lines = lines;
  }

  apply(head: ResponseHead): void {
    for (const { name, id } of this.#removed) {
      if (id === 0 || head.tail !== '') head.removeName(name);
      else head.remove(id);
    }
    head.tail += this.#lines;
  }
}
