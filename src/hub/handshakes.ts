import type { Clock } from '../std/clock.ts';
import type { Log } from '../observe/log.ts';
import { Seldom } from '../observe/seldom.ts';
import { SPEAKS_TLS } from '../http/parse.ts';
import type { HandshakeFailure, ServerTls } from '../http/tls-listener.ts';
import { HANDSHAKE_LINES_MS } from './limits.ts';

/** What is logged of TLS handshakes that failed at one server: what somebody has to mend now and then, the rest for who debugs. */
export function tellOfHandshakes(log: Log, clock: Clock, fields: Readonly<Record<string, string>> = {}): ServerTls['failed'] {
  const seldom = new Seldom(HANDSHAKE_LINES_MS, () => clock.now());
  return (reason, address, kind) => {
    const missed = kind === 'other' ? null : seldom.ask(reason);
    const level = missed === null ? 'debug' : LEVELS[kind];
    log[level]({ ...fields, peer: address, reason, ...(missed === null || missed === 0 ? {} : { andBefore: missed }) }, WORDS[kind]);
  };
}

/** What is logged of clients that speak TLS to a port without it: the first one, then some now and then. */
export function tellOfTls(log: Log, clock: Clock, fields: Readonly<Record<string, string>> = {}): (address: string) => void {
  const seldom = new Seldom(HANDSHAKE_LINES_MS, () => clock.now());
  return (address) => {
    const missed = seldom.ask(SPEAKS_TLS);
    log[missed === null ? 'debug' : 'info'](
      { ...fields, peer: address, ...(missed === null || missed === 0 ? {} : { andBefore: missed }) },
      `${SPEAKS_TLS}: it was answered 400`,
    );
  };
}

/** A scanner speaks anything to any port; who shows a certificate means it. */
const LEVELS: Record<HandshakeFailure, 'debug' | 'info' | 'warn'> = { certificate: 'warn', plain: 'info', other: 'debug' };

const WORDS: Record<HandshakeFailure, string> = {
  certificate: 'TLS: a client was turned away for its certificate',
  plain: 'TLS: a connection was closed',
  other: 'TLS: no connection came of a handshake',
};
