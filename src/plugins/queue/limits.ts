/** How often a client that asked hears where its request stands, ms: seldom enough that thousands who wait cost next to nothing. */
export const TELL_MS = 1_000;
