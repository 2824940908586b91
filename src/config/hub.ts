import { bytes, choice, duration, host, integer, list, orOff, path, port, secrets, siblings, text, textLike, toggle } from '../schema/kind.ts';
import { setting, type Values } from '../schema/setting.ts';
import { formatAddress, isLoopback } from '../schema/address.ts';
import type { Person } from '../admin/people.ts';
import { adminAddr, commonSettings, commonTable, listenSettings, listenTable } from './common.ts';
import type { UpstreamUrl } from '../schema/upstream-url.ts';
import { adminUser, consoleTable } from './sections/admin.ts';
import { notifySettings, notifyTable } from './notify.ts';
import { SettingsError } from './settings-error.ts';
import { tracesTable, traceSettings } from './traces.ts';
import type { HubSettings, HubWire } from './settings.ts';

const START = 'To start';
const QUEUE = 'Waiting for a slot';

/** Settings of `hub run`, section [hub]. */
export const hubTable = {
  secret: setting({
    kind: secrets(),
    group: START,
    help: 'seals agent tokens; a file may hold several lines: the first seals, all open',
    hint: 'openssl rand -hex 32 makes a good one',
    secret: 'lines',
    slime: true,
  }),
  appPassword: setting<string | null>({
    kind: text('SECRET', 'secret text'),
    group: START,
    help: 'applications must send it as Slime-App-Password',
    fallback: null,
    fallbackText: 'anybody may ask',
    secret: 'line',
    slime: true,
  }),
  accept: setting<readonly HubWire[]>({
    kind: list(choice(['native', 'slime'])),
    group: START,
    help: 'whose agents may dial in, by how they speak; slime: agents of the program whose place this one takes',
    fallback: ['native'],
    aliases: ['accepts'],
  }),
  slimeSecret: setting<readonly string[]>({
    kind: secrets(),
    group: START,
    help: "opens tokens that a hub of slime has issued: that hub's secret; a file may hold several lines",
    fallback: [],
    fallbackText: 'their tokens are not taken',
    secret: 'lines',
  }),
  revokedFile: setting<string | null>({
    kind: path('path of a file with token ids, one a line'),
    group: START,
    help: 'tokens that count no more; read anew on SIGHUP, and their agents are cut off',
    fallback: null,
    fallbackText: 'none',
  }),
  requireAgentCertificate: setting({
    kind: toggle(),
    group: START,
    help: 'agents must show a certificate (their --cert-file) from an authority of --tls-client-ca, beside their token',
    fallback: false,
  }),
  host: setting({ kind: host(), group: START, help: 'address to listen on; 127.0.0.1 = this machine only', fallback: '0.0.0.0', slime: true }),
  port: setting({ kind: port(), group: START, help: 'port for applications and agents', fallback: 8080, slime: true }),
  concurrent: setting({
    kind: integer(0, 10_000_000),
    group: QUEUE,
    help: 'most application requests inside at once, waiting ones included; 0 = unlimited',
    fallback: 0,
    slime: true,
  }),
  queueTimeout: setting({
    kind: duration(),
    group: QUEUE,
    help: 'how long every request waits for a slot; 0 = only those that ask (Slime-Block: 1, Prefer: wait=N)',
    fallback: 0,
  }),
  blockTimeout: setting({ kind: duration(), group: QUEUE, help: 'how long a request that asks to wait does so at most', fallback: 300_000 }),
  // A waiting request may hold a client's socket and 64 KiB of body: 1000 of them cost 70 MiB at worst, and at one a second they are a quarter of an hour of work.
  queueSize: setting({ kind: integer(0, 1_000_000), group: QUEUE, help: 'most requests that wait at once; more get 503', fallback: 1000 }),
  // All that may wait by default, with all that is read of each: a lower figure is for small machines.
  queueBytes: setting({
    kind: bytes(),
    group: QUEUE,
    help: 'most memory for the bodies of waiting requests; more get 503',
    fallback: 64 * 1024 * 1024,
  }),
  onEmpty: setting<string | null>({
    kind: textLike(/^https?:\/\/\S+$/, 'URL', 'http or https URL', 'write it out, such as https://example.org/start'),
    group: QUEUE,
    help: 'webhook called (POST, JSON) when a request waits and no agent is there that could serve it',
    fallback: null,
    fallbackText: 'none',
    secret: 'line',
  }),
  timeout: setting({
    kind: duration(),
    group: 'Requests',
    help: "waiting, connecting and the wait for an answer's head together; 0 = no limit",
    fallback: 0,
  }),
  ...listenTable,
  hubId: setting<string | null>({
    kind: textLike(/^[\w.-]{1,64}$/, 'NAME', 'name', 'use up to 64 letters, digits, dots and dashes'),
    group: 'Operation',
    help: 'names this hub to agents and in logs',
    fallback: null,
    fallbackText: 'random',
  }),
  sibling: setting<ReadonlyMap<string, UpstreamUrl>>({
    kind: siblings(),
    group: 'Operation',
    help: 'another hub by its id, and where agents reach it: every agent that comes here dials that one too',
    fallback: new Map(),
    fallbackText: 'none',
    aliases: ['siblings'],
  }),
  adminAddr: adminAddr({ host: '127.0.0.1', port: 9080 }),
  ...consoleTable('Operation'),
  adminUser: setting<readonly Person[]>({
    kind: adminUser,
    group: 'Operation',
    help: 'who may log in to the console',
    fallback: [],
    fallbackText: 'only who may read the state folder, by windlass console',
    secret: 'lines',
    aliases: ['admin-users'],
  }),
  stateDir: setting<string | null>({
    kind: orOff(path()),
    group: 'Operation',
    help: "folder for the console's tokens and its audit log; off = they are not kept",
    fallback: null,
    fallbackText: '$XDG_STATE_HOME/windlass or ~/.local/state/windlass',
  }),
  inspector: setting({
    kind: integer(0, 100_000),
    group: 'Operation',
    help: 'how many of the last requests to keep for operators to look at (console, windlass tail); 0 = none. It can be switched while the hub runs',
    fallback: 0,
  }),
  ...notifyTable,
  ...tracesTable(1),
  ...commonTable,
} as const;

/** @throws SettingsError */
export function hubSettings(values: Values<typeof hubTable>, randomId: () => string): HubSettings {
  if (values.requireAgentCertificate && values.tlsClientCa === null)
    throw new SettingsError(['--require-agent-certificate needs --tls-client-ca: give the authorities that sign the certificates of agents']);
  const { adminAddr, adminUser } = values;
  if (values.console && adminAddr !== null && !isLoopback(adminAddr.host) && adminUser.length === 0)
    throw new SettingsError([
      `--admin-addr ${formatAddress(adminAddr)} lets other machines ask for the console, and nobody has a password for it; give --admin-user-file with NAME:ROLE:HASH (windlass hash-password makes the hash), or --console=false for the open pages alone`,
    ]);
  if (new Set(adminUser.map(({ name }) => name)).size < adminUser.length)
    throw new SettingsError(['--admin-user names somebody twice: keep one line for each']);
  return {
    ...commonSettings(values),
    ...listenSettings(values),
    console: values.console,
    consoleHosts: values.consoleHosts,
    admins: new Map(adminUser.map((person) => [person.name, person])),
    host: values.host,
    port: values.port,
    secrets: values.secret,
    accepts: values.accept,
    slimeSecrets: values.slimeSecret,
    appPassword: values.appPassword,
    revokedFile: values.revokedFile,
    requireAgentCertificate: values.requireAgentCertificate,
    concurrent: values.concurrent,
    queueTimeoutMs: values.queueTimeout,
    blockTimeoutMs: values.blockTimeout,
    queueSize: values.queueSize,
    queueBytes: values.queueBytes,
    onEmpty: values.onEmpty,
    timeoutMs: values.timeout,
    hubId: values.hubId ?? randomId(),
    siblings: values.sibling,
    inspector: values.inspector,
    notification: notifySettings(values),
    traces: traceSettings(values),
  };
}
