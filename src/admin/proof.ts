import type { RequestHead } from '../http/head.ts';
import type { Standing } from './people.ts';
import type { Asker } from './route.ts';

/** Who asks, as far as it was shown. */
export interface Proof {
  readonly asker: Asker;
  /** What a page of ours sends back as `Windlass-CSRF`; '' for tokens, which no browser sends by itself. */
  readonly csrf: string;
  readonly standing: Standing;
  /** Is it good still, and for as much? Asked while an event stream is open. */
  stands(): boolean;
}

/** Null: nobody known. */
export type Prove = (head: RequestHead) => Proof | null;

/** The token of `Authorization: Bearer …`; '' = one that can be none; null = there is none. */
export function bearerOf(head: RequestHead): string | null {
  const given = head.get('authorization') ?? '';
  if (!/^bearer(?:[ \t,]|$)/i.test(given)) return null;
  return /^bearer +(\S+)$/i.exec(given)?.[1] ?? '';
}
