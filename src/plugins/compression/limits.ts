/** Bounds of compression. */

/** How much more may come out of a coded body than went in. Text reaches 20; what reaches a thousand was made to. */
export const BOMB_RATIO = 100;
/** The ratio is not looked at before so many bytes have come out: a small body of blanks is no bomb. */
export const BOMB_FREE_BYTES = 1024 * 1024;
/** Log2 of the windows of brotli and zstd: 512 KiB and 1 MiB. The libraries' own choice would hold up to 16 MiB per body, and 128 MiB at the highest levels. */
export const BROTLI_WINDOW_BITS = 19;
export const ZSTD_WINDOW_BITS = 20;
/** Spellings of Accept-Encoding that are remembered: a handful of browsers make nearly all requests. */
export const SPELLINGS = 200;
/** Longer ones are read anew each time. */
export const SPELLING_CHARS = 200;
/** Memory of a chunk on its way to the thread: what one read brings. */
export const MEMORY_BYTES = 64 * 1024;
