import { words } from '../i18n/words.ts';
import { en } from './en.ts';
import { zh } from './zh.ts';

/** What stands around the screens. */
export const shell = words(en, zh);
