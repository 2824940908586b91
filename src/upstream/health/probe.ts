import { isIP } from 'node:net';
import tls from 'node:tls';
import { VERSION } from '../../observe/version.ts';
import type { Address } from '../../schema/address.ts';
import type { HealthCheck } from '../../schema/health-check.ts';

/** What one probe found. */
export interface Verdict {
  readonly ok: boolean;
  /** The end of a sentence about the endpoint. */
  readonly reason: string;
}

/** Looks at one endpoint, as often as it is asked to. */
export interface Probe {
  /** One look, bounded by the time limits of its check. Calls `done` once, and never from inside; not at all after close(). The one before it must be done. */
  start(done: (verdict: Verdict) => void): void;
  /** Breaks off whatever runs and lets go of connections. */
  close(): void;
}

/** How requests to an endpoint use TLS, for a probe to do the same. */
export interface HealthTls {
  /** Must its certificate be good? */
  readonly verify: boolean;
  /** Authorities that are believed and the client's own certificate; absent: what Node believes, and none. */
  readonly context?: tls.SecureContext;
}

export interface ProbeOptions {
  readonly check: HealthCheck;
  /** What is dialled, whatever name the check's URL has. */
  readonly address: Address;
  readonly tls: HealthTls;
}

/** Probes tell who they are: operators of services look for them in their logs. */
export const USER_AGENT: string = `windlass/${VERSION} (health check)`;

/** TLS as the check wants it: the name is the one in its URL, for SNI and for the certificate. */
export function probeTls({ check, tls: usual }: ProbeOptions, alpn: string): tls.ConnectionOptions {
  return {
    servername: isIP(check.name) === 0 ? check.name : '',
    rejectUnauthorized: check.verifyCert ?? usual.verify,
    // Given nothing but the address, Node would compare the certificate with that.
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(check.name, certificate),
    ALPNProtocols: [alpn],
    minVersion: 'TLSv1.2',
    ...(usual.context === undefined ? {} : { secureContext: usual.context }),
  };
}
