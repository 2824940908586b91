import type { ConfigProblem } from '../../../src/admin/model.ts';

/** What is wrong, without the file and the line: they stand beside it. */
export function messageOf({ message, line, column }: ConfigProblem): string {
  if (line === 0) return message;
  for (const place of [`:${line}:${column} `, `:${line} `]) {
    const at = message.indexOf(place);
    if (at >= 0) return message.slice(at + place.length);
  }
  return message;
}

/** The same without what it is about: it stands at its field. */
export function messageAtField(problem: ConfigProblem): string {
  const text = messageOf(problem);
  return problem.subject !== '' && text.startsWith(`${problem.subject} `) ? text.slice(problem.subject.length + 1) : text;
}
