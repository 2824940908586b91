// HOT: apply() runs per answer of a location that edits the headers of answers.
import { fieldLine, type ResponseHead } from '../http/head.ts';
import { idOfName } from '../http/names.ts';
import { Wrong } from '../schema/wrong.ts';
import type { Captures } from '../upstream/upstream.ts';
import type { FieldText } from './field-edits.ts';
import type { ReplyEdits } from './location.ts';
import { compileTemplate, type Names, type Scope, type Template } from './template.ts';

export interface ReplyEditSettings {
  readonly set: readonly FieldText[];
  readonly add: readonly FieldText[];
  readonly remove: readonly string[];
}

/**
 * What a location does to the headers of answers: removes, then sets, then adds. Values may have captures in them, but nothing else of the request:
 * that is gone by then. Null when there is nothing to do. @throws Wrong
 */
export function compileReplyEdits({ set, add, remove }: ReplyEditSettings, known: Partial<Names>): ReplyEdits | null {
  if (set.length === 0 && add.length === 0 && remove.length === 0) return null;
  const removed = [...new Set([...remove, ...set.map(({ name }) => name)].map((name) => name.toLowerCase()))];
  const names: Names = { env: {}, captures: new Set(), ...known };
  const lines = [...set, ...add].map((text) => lineOf(text, names));
  return new Edits(
    removed,
    lines.filter((line) => typeof line === 'string').join(''),
    lines.filter((line) => typeof line !== 'string'),
  );
}

/** A field whose value has captures in it. */
interface Varying {
  readonly name: string;
  readonly value: Template;
}

function lineOf({ name, value }: FieldText, { env, captures }: Names): string | Varying {
  const fixed = compileTemplate(value, { env, captures: new Set() });
  if (fixed.constant === null)
    throw new Wrong(
      'has a variable of the request in it, which is gone when the answer comes',
      'write fixed text, or what host or path capture',
      `${name}: ${value}`,
    );
  const varying = compileTemplate(value, { env, captures });
  return varying.constant === null ? { name, value: varying } : fieldLine(name, varying.constant);
}

class Edits implements ReplyEdits {
  readonly #removed: readonly { readonly name: string; readonly id: number }[];
  readonly #lines: string;
  readonly #varying: readonly Varying[];

  constructor(removed: readonly string[], lines: string, varying: readonly Varying[]) {
    this.#removed = removed.map((name) => ({ name, id: idOfName(name) }));
    this.#lines = lines;
    this.#varying = varying;
  }

  apply(head: ResponseHead, captures: Captures): void {
    for (const { name, id } of this.#removed) {
      if (id === 0 || head.tail !== '') head.removeName(name);
      else head.remove(id);
    }
    head.tail += this.#lines;
    for (let i = 0; i < this.#varying.length; i++) {
      const { name, value } = this.#varying[i]!;
      // Nothing else is asked for: lineOf() has seen to it.
      const text = value.render({ captures } as Scope);
      if (text !== '') head.tail += fieldLine(name, text);
    }
  }
}
