import type { SecureContextOptions } from 'node:tls';
import { CertStore } from '../../certs/store.ts';
import type { TicketKeys } from '../../certs/ticket-keys.ts';
import type { ServerTls } from '../../http/tls-listener.ts';
import type { ServerSettings } from '../../config/sections/server.ts';
import type { PreparedCertificates } from './certificates.ts';
import { tellOfHandshakes } from '../handshakes.ts';
import type { House } from '../house.ts';

/** How a server of a gateway speaks TLS; null: it does not. */
export function gatewayTls(
  server: ServerSettings,
  certificates: PreparedCertificates,
  ticketKeys: TicketKeys,
  { log, loop }: House,
): ServerTls | null {
  const { tls } = server;
  if (tls === null) return null;
  const { clients } = tls;
  const options: SecureContextOptions = {
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ...(tls.ciphers === null ? {} : { ciphers: tls.ciphers }),
    // Whoever stands in the list is believed: an authority between, without the one that vouches for it, too.
    ...(clients === null ? {} : { ca: [...clients.ca], sessionIdContext: clients.id, allowPartialTrustChain: true }),
    ...(clients === null || clients.crl === null ? {} : { crl: clients.crl }),
  };
  const own = certificates.ownOf(server.name);
  const { selfSigned } = certificates;
  const minters = [...(tls.global ? certificates.minters : []), ...(tls.selfSigned && selfSigned !== null ? [selfSigned] : [])];
  const storeNow = (): CertStore => new CertStore(tls.global ? certificates.pairs : [], options, minters);
  let store = storeNow();
  let { generation } = certificates;
  const current = (): CertStore => {
    // A renewed certificate may be for other names.
    if (certificates.generation !== generation) {
      ({ generation } = certificates);
      store = storeNow();
    }
    return store;
  };
  return {
    pair: () => {
      const standard = own ?? current().standard;
      return standard === null ? options : { ...options, cert: standard.cert, key: standard.key };
    },
    ...(own === null ? { choose: (serverName: string) => current().find(serverName) } : {}),
    failed: tellOfHandshakes(log, loop.clock, { server: server.name }),
    ticketKeys: () => ticketKeys.current,
    ...(clients === null ? {} : { clients: { ask: clients.ask, id: clients.id } }),
  };
}
