import { promises as dns } from 'node:dns';
import net from 'node:net';
import tls from 'node:tls';
import { connectThrough } from '../tunnel/native/connect.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { ageText } from './figures.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

export interface ReachOptions {
  readonly about: string;
  readonly to: UpstreamUrl;
  /** Null: directly. */
  readonly proxy: UpstreamUrl | null;
  /** The flag or the variable that says so; '' without a proxy. */
  readonly proxyName: string;
  readonly trust?: tls.SecureContext;
  /** Protocols to offer in TLS. */
  readonly alpn: readonly string[];
  readonly timeoutMs: number;
  /** Wall-clock ms. */
  readonly nowMs: number;
  /** How more authorities are given. */
  readonly caFix: string;
}

/** Goes to an address step by step (name, connection, TLS) as far as it gets, and says how far that was. The connection is closed again. */
export async function reach(options: ReachOptions): Promise<{ readonly findings: readonly Finding[]; readonly isReached: boolean }> {
  const { about, to, proxy } = options;
  const findings: Finding[] = [];
  const done = (finding: Finding, isReached: boolean): { findings: readonly Finding[]; isReached: boolean } => ({
    findings: [...findings, finding],
    isReached,
  });
  if (proxy === null && net.isIP(to.host) === 0) {
    const named = await lookUp(options);
    if (named.level === 'FAIL') return done(named, false);
    findings.push(named);
  }
  const beganMs = performance.now();
  const connected = await connect(options);
  if ('problem' in connected) return done(connected.problem, false);
  const { socket } = connected;
  const way = `connected to ${to.host}:${to.port}${proxy === null ? '' : ` through the proxy ${proxy.shown}`} in ${Math.round(performance.now() - beganMs)} ms`;
  if (to.protocol !== 'https') {
    socket.destroy();
    return done(ok(about, way), true);
  }
  findings.push(ok(about, way));
  const finding = await shake(socket, options);
  return done(finding, finding.level !== 'FAIL');
}

async function lookUp({ about, to, timeoutMs }: ReachOptions): Promise<Finding> {
  try {
    const found = await within(dns.lookup(to.host, { all: true }), timeoutMs);
    return ok(about, `the name ${to.host} leads to ${found.map(({ address }) => address).join(', ')}`);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no answer in time';
    if (code === 'ENOTFOUND')
      return fail(
        about,
        `the name ${to.host} is not known`,
        'is it spelled right? nslookup shows whether DNS knows it; /etc/hosts or --proxy may help inside a company',
      );
    return fail(
      about,
      `the name ${to.host} could not be looked up (${code})`,
      'the DNS server of this machine does not answer: look at /etc/resolv.conf and at the network',
    );
  }
}

type Reached = { readonly socket: net.Socket } | { readonly problem: Finding };

function connect({ about, to, proxy, proxyName, trust, timeoutMs }: ReachOptions): Promise<Reached> {
  return new Promise((resolve) => {
    if (proxy !== null) {
      const giveUp = connectThrough(proxy, to, trust, (outcome) => {
        clearTimeout(timer);
        if ('socket' in outcome) resolve(outcome);
        else resolve({ problem: noWay(about, to, proxy, proxyName, outcome.problem) });
      });
      const timer = setTimeout(() => {
        giveUp();
        resolve({
          problem: fail(
            about,
            `the proxy ${proxy.shown} (${proxyName}) does not answer`,
            `is ${proxyName} right? NO_PROXY or --proxy off goes past it`,
          ),
        });
      }, timeoutMs);
      return;
    }
    const socket = net.connect({ host: to.host, port: to.port });
    const timer = setTimeout(() => socket.destroy(Object.assign(new Error('late'), { code: 'ETIMEDOUT' })), timeoutMs);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve({ problem: fail(about, `no connection to ${to.host}:${to.port} (${error.code ?? 'it broke'})`, fixOf(error.code ?? '', to)) });
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve({ socket });
    });
  });
}

/** `problem`: as connectThrough() says it, with the proxy at its end. */
function noWay(about: string, to: UpstreamUrl, proxy: UpstreamUrl, proxyName: string, problem: string): Finding {
  const why = problem.replace(` (proxy ${proxy.shown})`, '');
  const named = `the proxy ${proxy.shown} (${proxyName})`;
  const unreached = /^the proxy (cannot be reached: .*|does not speak HTTP: .*|closed the connection .*)$/.exec(why)?.[1];
  if (unreached !== undefined)
    return fail(
      about,
      `${named} ${unreached}`,
      `${proxyName} seems to be wrong: mend it, or go past the proxy with NO_PROXY=${to.host} or --proxy off`,
    );
  return fail(
    about,
    `${named} opens no way to ${to.host}:${to.port}: ${why}`,
    `have its operator allow the way, or go past it with NO_PROXY=${to.host} or --proxy off`,
  );
}

/** Would TLS be understood there, whoever it is? */
export function speaksTls({ host, port }: UpstreamUrl, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const secure = tls.connect({ host, port, rejectUnauthorized: false, ...(net.isIP(host) === 0 ? { servername: host } : {}) });
    const end = (does: boolean): void => {
      clearTimeout(timer);
      secure.removeAllListeners();
      secure.on('error', () => {});
      secure.destroy();
      resolve(does);
    };
    const timer = setTimeout(end, timeoutMs, false);
    secure.once('secureConnect', () => end(true));
    // An alert is an answer too: it wants a certificate, or another version.
    secure.once('error', ({ code = '' }: NodeJS.ErrnoException) => end(code.startsWith('ERR_SSL_') && !code.includes('WRONG_VERSION')));
    secure.once('close', () => end(false));
  });
}

function fixOf(code: string, { host, port }: UpstreamUrl): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `nobody listens there: does it run, and is ${port} the right port?`;
    case 'ETIMEDOUT':
      return 'a firewall drops what is sent, or the machine is down; where only a proxy leads out, set HTTPS_PROXY or --proxy';
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return `this machine knows no way to ${host}: look at its network, and at VPN and IPv6`;
    default:
      return `look at the network between this machine and ${host}`;
  }
}

/** TLS as the program itself would speak it, but looking at a certificate before it is refused. */
function shake(socket: net.Socket, { about, to, trust, alpn, timeoutMs, nowMs, caFix }: ReachOptions): Promise<Finding> {
  return new Promise((resolve) => {
    const secure = tls.connect({
      socket,
      ALPNProtocols: [...alpn],
      minVersion: 'TLSv1.2',
      rejectUnauthorized: false,
      ...(net.isIP(to.host) === 0 ? { servername: to.host } : { host: to.host }),
      ...(trust === undefined ? {} : { secureContext: trust }),
    });
    const end = (finding: Finding): void => {
      clearTimeout(timer);
      secure.removeAllListeners();
      secure.on('error', () => {});
      secure.destroy();
      resolve(finding);
    };
    const timer = setTimeout(
      () =>
        end(
          fail(
            about,
            `${to.host}:${to.port} does not answer to TLS`,
            'something else listens there, or a firewall looks into TLS: try http://, another port, or a proxy',
          ),
        ),
      timeoutMs,
    );
    secure.once('error', (error: NodeJS.ErrnoException) => end(tlsFailure(about, to, error)));
    secure.once('close', () => end(tlsFailure(about, to, Object.assign(new Error('closed'), { code: 'ECONNRESET' }))));
    secure.once('secureConnect', () => end(judge(about, to, secure, nowMs, caFix)));
  });
}

function tlsFailure(about: string, { host, port }: UpstreamUrl, { code = '' }: NodeJS.ErrnoException): Finding {
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO')
    return fail(
      about,
      `${host}:${port} speaks no TLS`,
      `write http:// if plain text is meant, else look at the port: https is mostly ${port === 443 ? 'another one here' : '443'}`,
    );
  if (/CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|BAD_CERTIFICATE/.test(code))
    return fail(about, `${host}:${port} ends the TLS handshake (${code})`, 'it may want a certificate: see --cert-file and --key-file');
  return fail(
    about,
    `${host}:${port} breaks off the TLS handshake (${code})`,
    'a firewall may look into TLS, or the other side is no TLS server: ask its operator',
  );
}

const DAY_MS = 86_400_000;
const SOON_MS = 14 * DAY_MS;

function judge(about: string, { host }: UpstreamUrl, secure: tls.TLSSocket, nowMs: number, caFix: string): Finding {
  const certificate = secure.getPeerCertificate(true);
  const notAfterMs = Date.parse(certificate.valid_to ?? '');
  const notBeforeMs = Date.parse(certificate.valid_from ?? '');
  const issuer = certificate.issuer as { CN?: string; O?: string } | undefined;
  const from = issuer?.O ?? issuer?.CN ?? 'nobody who is named';
  const error = secure.authorized
    ? ''
    : String((secure.authorizationError as unknown as { code?: string } | null)?.code ?? secure.authorizationError);
  if (error === 'CERT_HAS_EXPIRED' || notAfterMs < nowMs)
    return fail(
      about,
      `the certificate of ${host} (from ${from}) has expired on ${certificate.valid_to}`,
      'it must be renewed there; is the clock of this machine right?',
    );
  if (error === 'CERT_NOT_YET_VALID' || notBeforeMs > nowMs)
    return fail(
      about,
      `the certificate of ${host} (from ${from}) is not good before ${certificate.valid_from}`,
      'the clock of this machine is probably wrong',
    );
  if (error === 'ERR_TLS_CERT_ALTNAME_INVALID' || error.startsWith('Hostname') || error.startsWith('Host:'))
    return fail(
      about,
      `the certificate there is for ${String(certificate.subjectaltname ?? certificate.subject?.CN ?? 'another name')}, not for ${host}`,
      'ask for it by a name that stands in its certificate',
    );
  if (error !== '')
    return fail(
      about,
      `the certificate of ${host} comes from ${from}, which this machine does not believe (${error})`,
      `${caFix}; should it be a public site, a proxy may look into TLS here`,
    );
  const left = notAfterMs - nowMs;
  const says = `${secure.getProtocol() ?? 'TLS'}, certificate of ${host} from ${from}, good for ${ageText(left)}`;
  return left < SOON_MS ? warn(about, says, 'it should have been renewed by now: tell its operator') : ok(about, says);
}

function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('late')), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
