import type tls from 'node:tls';
import { type Egress, proxyFor } from '../schema/egress.ts';
import { formatAddress, isLoopback } from '../schema/address.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { plainLine } from '../config/plain-line.ts';
import type { Loop } from '../std/loop.ts';
import { PROTOCOL } from '../tunnel/native/accept.ts';
import { requestText } from '../tunnel/native/dial.ts';
import { isGranted } from '../tunnel/native/websocket.ts';
import { isSlimeToken } from '../tunnel/slime/token.ts';
import { TOKEN_TEXT_MAX } from '../tunnel/token.ts';
import { type AttemptFailure, UpgradeAttempt } from '../tunnel/upgrade-attempt.ts';
import { newKey } from '../tunnel/websocket-handshake.ts';
import { ageText } from './figures.ts';
import { type Finding, fail, ok, warn } from './finding.ts';
import { reach, speaksTls } from './reach.ts';

export interface HubDiagnosis {
  readonly hub: UpstreamUrl;
  /** Null: none was given. */
  readonly token: string | null;
  readonly wire: 'native' | 'slime' | 'cranker';
  readonly transport: 'upgrade' | 'websocket';
  readonly egress: Egress;
  /** What says so: a flag or a variable. */
  readonly proxyName: string;
  /** What to believe, and to show to the hub. */
  readonly trust?: tls.SecureContext;
  readonly loop: Loop;
  readonly timeoutMs: number;
}

/** From the name of a hub to its yes: all steps but the last, which would make an agent of it. Nobody sees an agent come or go. */
export async function diagnoseHub(of: HubDiagnosis): Promise<readonly Finding[]> {
  const { hub, egress, wire, loop, timeoutMs, trust } = of;
  const about = `hub ${hub.shown}`;
  const findings: Finding[] = [];
  const proxy = proxyFor(egress, hub);
  const isProxied = (hub.protocol === 'https' ? egress.https : egress.http) !== null;
  if (proxy !== null) findings.push(ok(about, `is asked through the proxy ${proxy.shown} (${of.proxyName})`));
  else if (isProxied) findings.push(ok(about, 'NO_PROXY has it reached directly'));
  if (hub.protocol === 'http' && !isLoopback(hub.host))
    findings.push(warn(about, 'token and requests travel unencrypted', 'write https://, unless the network in between is yours'));
  const reached = await reach({
    about,
    to: hub,
    proxy,
    proxyName: of.proxyName,
    ...(trust === undefined ? {} : { trust }),
    alpn: ['http/1.1'],
    timeoutMs,
    nowMs: loop.clock.wall(),
    caFix: '--ca-file names the file of its authority',
  });
  findings.push(...reached.findings);
  if (!reached.isReached) return findings;
  if (wire !== 'native') return [...findings, ok(about, `with --wire ${wire} the handshake is not tried: it would register an agent`)];
  return [...findings, ...(await shakeHands(of, about, proxy))];
}

/** Is it a token at all? Whether the hub takes it, only the hub knows. */
export function tokenFinding(token: string, where: string): Finding {
  const about = 'token';
  if (isSlimeToken(token)) return ok(about, `is one of slime, ${where}`);
  if (token.startsWith('wlt_')) return fail(about, `is a token of the admin API, ${where}`, 'an agent needs one of windlass hub register');
  if (token.startsWith('eyJ')) return fail(about, `is a JSON web token, ${where}`, 'an agent needs one of windlass hub register');
  if (token.length > TOKEN_TEXT_MAX || !/^wl1\.[A-Za-z0-9_-]+$/.test(token))
    return fail(about, `has not the form of a token (wl1.…), ${where}`, 'was all of it copied, and nothing else? windlass hub register prints one');
  return ok(about, `has the form of one, ${where}`);
}

async function shakeHands(of: HubDiagnosis, about: string, proxy: UpstreamUrl | null): Promise<readonly Finding[]> {
  const first = await attempt(of, proxy, of.transport);
  if (isAnswered(first)) return judged(of, about, first);
  if (of.transport === 'upgrade') {
    const second = await attempt(of, proxy, 'websocket');
    if (isAnswered(second))
      return [
        warn(
          about,
          `something on the way does not let Upgrade: ${PROTOCOL} pass (${plainLine(first.reason)}), but WebSockets pass`,
          'add --transport websocket to windlass agent run',
        ),
        ...judged(of, about, second),
      ];
  }
  const reason = plainLine(first.reason);
  const { hub, timeoutMs } = of;
  if (first.status === 0 && hub.protocol === 'http' && proxy === null && (await speaksTls(hub, timeoutMs)))
    return [fail(about, `speaks TLS there: ${reason}`, `write https://${formatAddress(hub)}${hub.path}`)];
  if (first.status === 0)
    return [
      fail(about, `does not shake hands: ${reason}`, 'is it a hub of Windlass that listens there, and does every proxy in between let Upgrade pass?'),
    ];
  return [
    fail(
      about,
      `the upgrade is refused: ${reason}`,
      `what answers there is no hub of Windlass, or a proxy on the way takes the Upgrade field out: let it pass for ${hubPath(of.hub)}`,
    ),
    ...clockFinding(first.date, of.loop.clock.wall()),
  ];
}

function hubPath({ path }: UpstreamUrl): string {
  return `${path}/windlass/agent`;
}

/** What became of a handshake. */
interface Outcome extends AttemptFailure {
  /** It was granted; then this is the hub's id. */
  readonly hubId: string | null;
}

/** Does this come from a hub? */
function isAnswered({ hubId, status, reason }: Outcome): boolean {
  return (
    hubId !== null ||
    status === 401 ||
    status === 429 ||
    (status === 403 && reason.includes('certificate')) ||
    (status === 503 && reason.includes('hub'))
  );
}

function judged({ token, loop }: HubDiagnosis, about: string, { hubId, status, reason, date }: Outcome): readonly Finding[] {
  const clock = clockFinding(date, loop.clock.wall());
  const said = plainLine(reason);
  if (hubId !== null) return [ok(about, `takes the token${hubId === '' ? '' : ` (hub ${plainLine(hubId)})`}`), ...clock];
  if (status === 401 && token === null) return [ok(about, 'a hub answers; no token was given to show it'), ...clock];
  if (status === 401)
    return [
      fail(
        about,
        `refuses the token: ${said}`,
        'have a new one made: windlass hub register with the secret of this hub, or windlass agents register beside it',
      ),
      ...clock,
    ];
  if (status === 429) return [warn(about, `has seen too many bad tokens from here: ${said}`, 'wait a minute, and ask again'), ...clock];
  if (status === 403) return [fail(about, said, 'have its operator give you a certificate for --cert-file and --key-file'), ...clock];
  return [warn(about, said, 'it may be starting or stopping: ask again in a moment'), ...clock];
}

/** Clocks further apart than tokens allow, ms. */
const APART_MS = 30_000;

function clockFinding(date: string | undefined, nowMs: number): readonly Finding[] {
  const theirsMs = Date.parse(date ?? '');
  if (Number.isNaN(theirsMs)) return [];
  const apartMs = theirsMs - nowMs;
  if (Math.abs(apartMs) < APART_MS) return [ok('clock', 'goes as the hub goes')];
  const says = `is ${ageText(Math.abs(apartMs))} ${apartMs > 0 ? 'behind' : 'ahead of'} that of the hub`;
  return [warn('clock', says, 'tokens and certificates expire by the clock: set it (timedatectl set-ntp true)')];
}

function attempt(
  { hub, token, trust, loop, timeoutMs }: HubDiagnosis,
  proxy: UpstreamUrl | null,
  transport: HubDiagnosis['transport'],
): Promise<Outcome> {
  const key = transport === 'websocket' ? newKey() : '';
  return new Promise((resolve) => {
    new UpgradeAttempt({
      hub,
      proxy,
      ...(trust === undefined ? {} : { trust }),
      loop,
      timeoutMs,
      text: () => requestText(hub, token ?? 'none', key),
      accepts: (head) => (key === '' ? head.upgrade === PROTOCOL : isGranted(head, key)),
      done: (outcome) => {
        if (!('wire' in outcome)) {
          resolve({ ...outcome, hubId: null });
          return;
        }
        const hubId = outcome.head.get('windlass-hub') ?? '';
        const date = outcome.head.get('date');
        // Without a HELLO there never was an agent.
        outcome.wire.destroy();
        resolve({ status: 101, reason: '', retryAfterMs: 0, hubId, ...(date === undefined ? {} : { date }) });
      },
    });
  });
}
