/** Bounds of what an agent does to reach its hubs. */

/** Connections of one agent, to all hubs, addresses and siblings: each is a socket and a few frames per request while nobody waits. */
export const CONNECTIONS = 32;
/** Addresses of one name that are dialled. */
export const ADDRESSES = 16;
/** How often names are resolved again, ms. */
export const RESOLVE_EVERY_MS = 30_000;
/** Shortest time between two rounds of resolving, ms, however many connections are lost. */
export const RESOLVE_SPACING_MS = 2_000;
/** Slots that have a lock each (`--slots-lock`); further ones share, so that 100,000 slots need fewer than 300 sockets. */
export const SINGLE_LOCKS = 128;
/** How often locks that another process holds are asked for, ms. */
export const LOCK_EVERY_MS = 100;
