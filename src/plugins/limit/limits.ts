/** Bounds of the limit plugin. */

/**
 * Keys (clients, tokens …) that one plugin remembers a rate of; over it the one that was quiet longest is forgotten. A key takes 0.5 to 2 KiB: 100 MiB at
 * worst. (Requests in flight are bounded by connections, so that their keys need no bound.)
 */
export const KEYS = 50_000;
/** Characters of a key that are kept as they are; longer ones are kept as their digest. */
export const KEY_CHARS = 128;
/** Times that are kept for a key: of up to so many requests each, of more in groups. */
export const EXACT = 128;
/** Parts of the interval; requests within one are a group. Two less, because a group may begin before the interval and one is being filled. */
export const PARTS = EXACT - 2;
