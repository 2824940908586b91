/** Bounds of the limit plugin. */

/**
 * Keys (clients, tokens …) that one plugin remembers a rate of; over it the one that was quiet longest is forgotten. A key takes 0.2 to 1.5 KiB: some 70 MiB
 * at worst. (Requests in flight are bounded by connections, so that their keys need no bound.)
 */
export const KEYS = 50_000;
/** Characters of a key that are kept as they are; longer ones are kept as their digest. */
export const KEY_CHARS = 128;
/** Requests of a key whose times are kept one by one. Above, those within one part in so many of the interval are taken for one time. */
export const EXACT = 128;
