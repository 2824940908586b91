import type { Command } from './command.ts';

/** All commands, in the order in which people meet them. */
export const commands: readonly Command[] = [
  {
    words: ['hub', 'run'],
    summary: 'take requests from applications and hand them to agents that dial in',
    section: 'hub',
    switches: {},
    examples: [
      ['windlass hub run --secret-file hub.secret', 'listen on port 8080, for anybody who asks'],
      [
        'windlass hub run --secret-file hub.secret --app-password-file app.password --queue-timeout 30s',
        'only for who knows the password; requests wait for a free slot',
      ],
      ['SECRET=… APP_PASSWORD=… PORT=9000 windlass hub run', 'the same from the environment, as containers do'],
      ['windlass hub run --config windlass.toml', 'from section [hub] of a file'],
    ],
    notes: [
      'Command `openssl rand -hex 32 > hub.secret` makes a good secret.',
      'Applications may send Slime-Block: 1 to wait for a slot, and Slime-Scope: NAME to choose among agents.',
    ],
    table: async () => (await import('../config/hub.ts')).hubTable,
    load: () => import('./hub-run.ts'),
  },
  {
    words: ['hub', 'register'],
    summary: 'print a token with which an agent may dial in',
    section: 'hub',
    switches: { json: 'print one JSON object with the token and what it says' },
    examples: [
      ['windlass hub register --secret-file hub.secret', 'a token for ever, with a random name'],
      ['windlass hub register --secret-file hub.secret --name gpu-box --age 720h --scopes gpu,eu', 'for 30 days and two scopes'],
      ['TOKEN=$(windlass hub register --secret-file hub.secret)', 'for scripts: the token alone goes to standard output'],
    ],
    notes: [],
    table: async () => (await import('../config/register.ts')).registerTable,
    load: () => import('./hub-register.ts'),
  },
  {
    words: ['hub', 'install'],
    summary: 'print a systemd unit for a hub with the given flags',
    section: 'hub',
    switches: {},
    examples: [
      ['windlass hub install --secret-file /etc/windlass/hub.secret', 'look at it first'],
      [
        'sudo windlass hub install --secret-file /etc/windlass/hub.secret --write /etc/systemd/system/windlass-hub.service',
        'then: systemctl daemon-reload; systemctl enable --now windlass-hub',
      ],
    ],
    notes: ['Secrets stay in their files (LoadCredential); the environment of who installs is not looked at.'],
    table: async () => (await import('../config/install.ts')).hubInstallTable,
    load: () => import('./install.ts'),
  },
  {
    words: ['agent', 'run'],
    summary: 'offer a service beside this machine to a hub; nothing has to be opened here',
    section: 'agent',
    switches: {},
    examples: [
      ['windlass agent run --token-file agent.token --hub https://hub.example.com --upstream localhost:3000', 'one request at a time'],
      [
        "windlass agent run --token-file agent.token --hub hub:8080 --upstream localhost:3000 --num-worker 8 --allow 'GET,POST /v1/*'",
        'eight at a time, and only what is under /v1/',
      ],
      ['windlass agent run --token-file agent.token --hub hub:8080 --upstream gpu1:8000,gpu2:8000 --label gpu=a100', 'two upstreams: two agents'],
      ['TOKEN=… HUB=hub:8080 UPSTREAM=localhost:3000 windlass agent run', 'from the environment, as containers do'],
    ],
    notes: ['SIGHUP: read the token file again.'],
    table: async () => (await import('../config/agent.ts')).agentTable,
    load: () => import('./agent-run.ts'),
  },
  {
    words: ['agent', 'install'],
    summary: 'print a systemd unit for an agent with the given flags',
    section: 'agent',
    switches: {},
    examples: [
      ['windlass agent install --token-file /etc/windlass/agent.token --hub https://hub.example.com --upstream localhost:3000', 'look at it first'],
      [
        'windlass agent install --user --token-file agent.token --hub hub:8080 --upstream localhost:3000 --write ~/.config/systemd/user/windlass-agent.service',
        'for one user, without root',
      ],
    ],
    notes: ['The token stays in its file (LoadCredential); the environment of who installs is not looked at.'],
    table: async () => (await import('../config/install.ts')).agentInstallTable,
    load: () => import('./install.ts'),
  },
  {
    words: ['proxy'],
    summary: 'pass requests straight to an upstream, without hub and agent',
    section: 'proxy',
    switches: {},
    examples: [
      ['windlass proxy --from :8080 --to localhost:3000', 'the smallest reverse proxy'],
      [
        'windlass proxy --from 127.0.0.1:8080 --to https://api.example.com --host-header upstream --access-log stdout',
        'to another site, which sees its own name; one line per request',
      ],
    ],
    notes: [],
    table: async () => (await import('../config/proxy.ts')).proxyTable,
    load: () => import('./proxy.ts'),
  },
  {
    words: ['demo'],
    summary: 'a hub, an agent and a small service on this machine, to try things on',
    section: null,
    switches: {},
    examples: [
      ['windlass demo', 'prints curl lines to try'],
      ['windlass demo --port 9000', 'the hub on another port'],
    ],
    notes: [],
    table: async () => (await import('../config/demo.ts')).demoTable,
    load: () => import('./demo-run.ts'),
  },
  {
    words: ['healthcheck'],
    summary: 'ask a running hub, agent or proxy of this machine how it is; exit code 0 or 1',
    section: null,
    switches: {},
    operand: 'url',
    examples: [
      ['windlass healthcheck', 'a hub with its default --admin-addr'],
      ['windlass healthcheck --url http://127.0.0.1:9081/readyz', 'another address'],
    ],
    notes: [],
    table: async () => (await import('../config/healthcheck.ts')).healthcheckTable,
    load: () => import('./healthcheck.ts'),
  },
  {
    words: ['version'],
    summary: 'what this is',
    section: null,
    switches: { json: 'as one JSON object' },
    examples: [
      ['windlass version', 'name and version'],
      ['windlass version --json', 'also Node and platform, for bug reports'],
    ],
    notes: [],
    table: async () => ({}),
    load: () => import('./version.ts'),
  },
];
