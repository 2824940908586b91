import type tls from 'node:tls';
import type { Log } from '../observe/log.ts';
import { proxyFor } from '../schema/egress.ts';
import type { Loop } from '../std/loop.ts';
import type { Handler } from '../http/exchange.ts';
import { dialRouter } from '../tunnel/cranker/dial.ts';
import { RequestLine } from '../tunnel/cranker/dial-line.ts';
import { type TunnelLimits, tunnelLimits } from '../tunnel/limits.ts';
import { type DialIdentity, dialHub } from '../tunnel/native/dial.ts';
import type { SlotLedger } from '../tunnel/native/slots.ts';
import { dialSlime } from '../tunnel/slime/dial.ts';
import type { AgentSettings } from '../config/settings.ts';
import type { HubsOptions } from './hubs.ts';

/** What connections to hubs are made of, whatever their wire. */
export interface DialerParts {
  readonly settings: Pick<AgentSettings, 'cranker' | 'egress' | 'hubs' | 'transport' | 'wire'>;
  readonly token: { readonly current: () => string; readonly reload: () => boolean };
  readonly identity: DialIdentity;
  readonly slots: SlotLedger;
  readonly handler: Handler;
  readonly loop: Loop;
  readonly log: Log;
  readonly trust?: tls.SecureContext;
  readonly hubTrust?: () => tls.SecureContext;
  readonly tunnelLimits?: Partial<TunnelLimits>;
}

/** How one agent reaches its hubs: over the wire that its settings say. */
export function dialerOf(parts: DialerParts): Pick<HubsOptions, 'dial' | 'leavesUnnamed'> & Partial<Pick<HubsOptions, 'resolvable'>> {
  const { settings, token, identity, slots, handler, loop, log, trust, hubTrust, tunnelLimits: limits } = parts;
  const usual = {
    token: token.current,
    reloadToken: token.reload,
    handler,
    loop,
    log,
    ...(trust === undefined ? {} : { trust }),
    ...(hubTrust === undefined ? {} : { hubTrust }),
  };
  const { cranker } = settings;
  if (cranker !== null) {
    const line = new RequestLine(slots, loop);
    const registration = { ...cranker, instance: identity.agentId };
    return {
      leavesUnnamed: true,
      dial: (hub, address, { onState }) => dialRouter({ ...usual, hub, address, proxy: proxyFor(settings.egress, hub), registration, line, onState }),
    };
  }
  if (settings.wire === 'slime') {
    const { hubs } = settings;
    const { agentId, hardware } = identity;
    return {
      leavesUnnamed: true,
      // One connection each, whatever their names lead to: slots are dealt out among hubs.
      resolvable: () => false,
      dial: (hub, _address, { onState }) =>
        dialSlime({
          ...usual,
          hub,
          proxy: proxyFor(settings.egress, hub),
          agentId,
          hardware,
          place: { index: hubs.indexOf(hub), of: hubs.length },
          slots,
          onState,
        }),
    };
  }
  return {
    leavesUnnamed: false,
    dial: (hub, address, hooks) =>
      dialHub({
        ...usual,
        ...hooks,
        hub,
        address,
        proxy: proxyFor(settings.egress, hub),
        transport: settings.transport,
        identity,
        slots,
        ...(limits === undefined ? {} : { limits: { ...tunnelLimits, ...limits } }),
      }),
  };
}
