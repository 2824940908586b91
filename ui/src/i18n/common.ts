import { words } from './words.ts';
import { en } from './common-en.ts';
import { zh } from './common-zh.ts';

/** Words that all screens use. */
export const common = words(en, zh);
