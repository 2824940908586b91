import { Positions, type Position } from './position.ts';

/** One TOML file of a configuration. */
export class TextFile {
  /** As it is named in messages. */
  readonly path: string;
  /** Relative paths in the file start here. */
  readonly folder: string;
  readonly text: string;
  #positions: Positions | null = null;

  constructor(path: string, folder: string, text: string) {
    this.path = path;
    this.folder = folder;
    this.text = text;
  }

  /** Looked for only when there is something to say about the file. */
  get positions(): Positions {
    this.#positions ??= new Positions(this.text);
    return this.#positions;
  }
}

/** Where something stands. */
export interface Place {
  readonly file: TextFile;
  readonly path: readonly string[];
  /** When it is known already. */
  readonly position?: Position;
}

/** `a.toml:3:1`, or the file alone when it is not known where. */
export function placeText(place: Place): string {
  const position = positionOf(place);
  return position === null ? place.file.path : `${place.file.path}:${position.line}:${position.column}`;
}

/** Of the thing itself or, when it stands nowhere, of what it belongs to. */
export function positionOf({ file, path, position }: Place): Position | null {
  if (position !== undefined) return position;
  for (let n = path.length; n > 0; n--) {
    const found = file.positions.of(path.slice(0, n));
    if (found !== null) return found;
  }
  return null;
}
