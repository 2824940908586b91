/** What a systemd unit is made of. */
export interface Unit {
  readonly description: string;
  /** Program and its words; the flags follow. */
  readonly program: readonly string[];
  readonly flags: readonly UnitFlag[];
  /** A unit of `systemctl --user`. */
  readonly isForUser: boolean;
  /** It listens on a port below 1024. */
  readonly bindsLowPort: boolean;
  /** How long a stop may take, s. */
  readonly stopS: number;
}

/** A flag of the command line. With `credential` the value is the path of a file that only root needs to be able to read. */
export interface UnitFlag {
  readonly flag: string;
  readonly value: string;
  readonly credential: string | null;
}

/** Marks a file as ours, to be overwritten without asking. */
export const MARK = '# Written by windlass';

/** The text of a unit that gives the program no more than it needs, and holds no secret. */
export function unitText(unit: Unit): string {
  const { isForUser, program, flags } = unit;
  const loads = isForUser ? [] : flags.filter(({ credential }) => credential !== null);
  const words = [
    ...program.map(quoted),
    ...flags.flatMap((one) => [`--${one.flag}`, isForUser || one.credential === null ? quoted(one.value) : credentialPath(one.credential)]),
  ];
  const lines = [
    `${MARK} ${program.slice(-2).join(' ')}. Changes are lost when it is written again; systemctl edit keeps them.`,
    '[Unit]',
    `Description=${unit.description}`,
    ...(isForUser ? [] : ['Wants=network-online.target', 'After=network-online.target']),
    // Tries for ever: the other side may be away for a night.
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=notify',
    // The notification is sent by systemd-notify, a child.
    'NotifyAccess=all',
    `ExecStart=${words.join(' ')}`,
    'ExecReload=/bin/kill -HUP $MAINPID',
    'Restart=always',
    'RestartSec=1s',
    'WatchdogSec=60s',
    `TimeoutStopSec=${unit.stopS}s`,
    'LimitNOFILE=65536',
  ];
  if (!isForUser) {
    lines.push(
      '',
      ...(loads.length === 0 ? [] : ['# Read by root at the start and shown to this service only. After a change: systemctl restart.']),
      ...loads.map(({ credential, value }) => `LoadCredential=${credential}:${value.replaceAll('%', '%%')}`),
      'DynamicUser=yes',
      'StateDirectory=windlass',
      'Environment=XDG_STATE_HOME=/var/lib NODE_ENV=production',
      '',
      ...HARDENING,
      // Where Node was installed below a home directory (nvm), it must at least be seen.
      `ProtectHome=${program.some((word) => /^\/(?:home|root)\//.test(word)) ? 'read-only' : 'yes'}`,
      `CapabilityBoundingSet=${unit.bindsLowPort ? 'CAP_NET_BIND_SERVICE' : ''}`,
      ...(unit.bindsLowPort ? ['AmbientCapabilities=CAP_NET_BIND_SERVICE'] : []),
    );
  } else lines.push('Environment=NODE_ENV=production', 'NoNewPrivileges=yes');
  lines.push('', '[Install]', `WantedBy=${isForUser ? 'default.target' : 'multi-user.target'}`, '');
  return lines.join('\n');
}

/** MemoryDenyWriteExecute is not among them: V8 compiles while it runs. Neither is PrivateDevices: agents report GPUs. */
const HARDENING: readonly string[] = [
  'NoNewPrivileges=yes',
  'ProtectSystem=strict',
  'PrivateTmp=yes',
  'ProtectClock=yes',
  'ProtectHostname=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectKernelTunables=yes',
  'ProtectControlGroups=yes',
  'ProtectProc=invisible',
  'LockPersonality=yes',
  'RemoveIPC=yes',
  'RestrictNamespaces=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
  'SystemCallArchitectures=native',
  'SystemCallFilter=@system-service',
  'SystemCallFilter=~@privileged @resources',
  'SystemCallErrorNumber=EPERM',
  'UMask=0077',
];

function credentialPath(name: string): string {
  return `\${CREDENTIALS_DIRECTORY}/${name}`;
}

/** A word as systemd reads it: its own specifiers and variables are not to be found in it. */
function quoted(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@+=:,./\\%$*-]+$/.test(word) ? escaped : `"${escaped}"`;
}
