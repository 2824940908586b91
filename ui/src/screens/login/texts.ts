import { words } from '../../i18n/words.ts';
import { en } from './en.ts';
import { zh } from './zh.ts';

export const texts = words(en, zh);
