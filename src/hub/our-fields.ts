import type { RequestHead } from '../http/head.ts';
import { SLIME_AGENT_ID, SLIME_AGENT_TOKEN, SLIME_APP_PASSWORD, SLIME_CONNECTION_ID, WINDLASS_HUB, WINDLASS_TOKEN } from '../http/names.ts';

/** A guard that lets everything in: what is between the application and the hub stays between them. */
export function takeOutOurs(head: RequestHead): null {
  if (head.has(WINDLASS_TOKEN)) head.remove(WINDLASS_TOKEN);
  if (head.has(WINDLASS_HUB)) head.remove(WINDLASS_HUB);
  if (head.has(SLIME_AGENT_ID)) head.remove(SLIME_AGENT_ID);
  if (head.has(SLIME_AGENT_TOKEN)) head.remove(SLIME_AGENT_TOKEN);
  if (head.has(SLIME_CONNECTION_ID)) head.remove(SLIME_CONNECTION_ID);
  if (head.has(SLIME_APP_PASSWORD)) head.remove(SLIME_APP_PASSWORD);
  return null;
}
