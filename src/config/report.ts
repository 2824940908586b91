import type { ConfigProblem } from '../admin/model.ts';
import { configLimits } from './limits.ts';
import { plainLine } from './plain-line.ts';
import { SettingsError } from './settings-error.ts';
import type { Position } from './position.ts';
import { type Place, placeText, positionOf } from './text-file.ts';

/** What is said about a configuration: every error and warning, each with its place. */
export class Report {
  readonly #errors: Said[] = [];
  readonly #warnings: Said[] = [];

  /** `subject` is `section.item.key`; `message` says what is wrong with it and what to write instead. Without a place the subject says where. */
  error(place: Place | null, subject: string, message: string): void {
    this.#errors.push({ place, subject, text: subject === '' ? message : `${subject} ${message}` });
  }

  warn(place: Place | null, subject: string, message: string): void {
    this.#warnings.push({ place, subject, text: subject === '' ? message : `${subject} ${message}` });
  }

  get failed(): boolean {
    return this.#errors.length > 0;
  }

  /** One line each, in the order of the files. */
  warnings(): readonly string[] {
    return linesOf(this.#warnings);
  }

  errors(): readonly string[] {
    return linesOf(this.#errors);
  }

  /** All of it with its places, errors first. `file` is the path as messages have it. */
  problems(): readonly ConfigProblem[] {
    const told = (level: ConfigProblem['level'], said: readonly Said[]): ConfigProblem[] =>
      ordered(said).map(({ place, subject, at, line }) => ({
        level,
        message: line,
        file: place?.file.path ?? '',
        line: at?.line ?? 0,
        column: at?.column ?? 0,
        subject,
      }));
    return [...told('error', this.#errors), ...told('warning', this.#warnings)];
  }

  /** @throws SettingsError with every error, when there is one */
  throwErrors(): void {
    if (!this.failed) return;
    throw new SettingsError(this.errors(), this.warnings(), [], this.problems());
  }
}

/** A message repeats what was written, which may be a whole page: beginning and end say enough. */
function bounded(text: string): string {
  return text.length <= MESSAGE_CHARS ? text : `${text.slice(0, MESSAGE_CHARS * 0.75)}…${text.slice(-MESSAGE_CHARS * 0.25)}`;
}

const MESSAGE_CHARS = 800;

interface Said {
  readonly place: Place | null;
  readonly subject: string;
  readonly text: string;
}

function linesOf(said: readonly Said[]): readonly string[] {
  const lines = ordered(said).map(({ line }) => line);
  const unsaid = said.length - lines.length;
  return unsaid === 0 ? lines : [...lines, `and ${unsaid} more`];
}

/** In the order of the files, each as one line; as many as are told at once. */
function ordered(said: readonly Said[]): readonly (Said & { readonly at: Position | null; readonly line: string })[] {
  return said
    .slice(0, configLimits.problems)
    .map((one) => {
      const { place, text } = one;
      const line = plainLine(place === null ? bounded(text) : `${placeText(place)} ${bounded(text)}`);
      return { ...one, file: place?.file.path ?? '', at: place === null ? null : positionOf(place), line };
    })
    .toSorted(
      (a, b) =>
        (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0),
    );
}
