// What mock.mjs says of configuration, routing, certificates, logs and settings: enough of it to work on those screens.
import { parse, stringify } from 'smol-toml';
import { Refusal } from './refusal.mjs';

const TEXT = `# The gateway of the example.
[basic]
name = "edge"
log_level = "info"

[servers.web]
addr = ["0.0.0.0:8080", "[::]:8080"]
locations = ["api", "files", "chat"]
access_log = "combined"
max_body = "10MB"

[servers.secure]
addr = "0.0.0.0:8443"
locations = ["api"]
global_certificates = true

# Everything under /api.
[locations.api]
upstream = "api"
host = ["example.com", "*.example.com"]
path = "/api"
rewrite = "^/api/(?<rest>.*)$ /\${rest}"
plugins = ["limit", "users", "small"]
timeout = "30s"
remark = "the API"

[locations.files]
path = "/files"
plugins = ["files"]

[locations.chat]
upstream = "gpu"
host = "chat.example.com"

[upstreams.api]
addrs = ["10.0.0.1:8080", "10.0.0.2:8080 5", { addr = "10.0.0.9:8080", backup = true }]
algo = "least_conn"
connection_timeout = "3s"
verify_cert = true

[upstreams.gpu]
agents = "gpu=a100"
queue = 200
queue_timeout = "1m"

[plugins.limit]
category = "limit"
type = "rate"
max = 100
interval = "1s"
tag = "ip"

[plugins.users]
category = "basic_auth"
authorizations = ["YWxpY2U6b3Blbg=="]
delay = "100ms"

[plugins.small]
category = "compression"
gzip_level = 6

[plugins.files]
category = "directory"
path = "/srv/files"
autoindex = true

[admins.alice]
password = "$scrypt$ln=15,r=8,p=1$abc$def"
role = "admin"
`;

const field = (key, input, of = {}) => ({
  key,
  help: '',
  input,
  choices: [],
  refersTo: '',
  many: false,
  required: false,
  fallback: '',
  example: '',
  ...of,
});
const group = (title, ...fields) => ({ title, fields });
const remark = group('Notes', field('remark', 'text', { help: 'a note for people' }));
const section = (name, named, ...kinds) => ({ section: name, named, kinds: kinds.map(([kind, says, ...groups]) => ({ kind, says, groups })) });

const SECTIONS = [
  section('basic', false, [
    '',
    'What holds for the whole process.',
    group('To start', field('name', 'text', { help: 'names this gateway in logs and metrics', fallback: 'windlass' })),
    group(
      'Log',
      field('log_level', 'choice', { help: 'least important lines to log', choices: ['debug', 'info', 'warn', 'error', 'silent'], fallback: 'info' }),
    ),
    group('Errors', field('error_templates', 'map', { help: 'what an error answer says, by status', fallback: 'none', example: '404 = "…"' })),
    group('Stopping', field('drain_timeout', 'duration', { help: 'after SIGTERM, how long running requests may take to finish', fallback: '30s' })),
  ]),
  section('servers', true, [
    '',
    'A listening socket and the locations that answer there.',
    group(
      'To start',
      field('addr', 'list', { help: 'where to listen', required: true, many: true, example: '0.0.0.0:8080' }),
      field('locations', 'reference', { help: 'which locations answer here', refersTo: 'locations', many: true }),
    ),
    group('TLS', field('global_certificates', 'switch', { help: 'listen with TLS', fallback: 'false' })),
    group(
      'Limits',
      field('max_body', 'bytes', { help: 'largest request body; 0 = unlimited', fallback: '0' }),
      field('max_fields', 'number', { help: 'most header fields in a request', fallback: '100', min: 1, max: 1000 }),
    ),
    group('Operation', field('access_log', 'text', { help: 'one line per request: a style or a template', fallback: 'off' })),
    remark,
  ]),
  section('locations', true, [
    '',
    'Which requests go to which upstream, and what is changed on the way.',
    group(
      'What is sent',
      field('upstream', 'reference', { help: 'name of the upstream, or $name of a capture', refersTo: 'upstreams' }),
      field('rewrite', 'text', { help: 'pattern and what takes its place', example: '^/api/(.*)$ /$1' }),
    ),
    group(
      'Which requests',
      field('host', 'list', { help: 'names that are asked for', many: true, example: 'example.com' }),
      field('path', 'text', { help: 'beginning of the path', example: '/api' }),
    ),
    group('Plugins', field('plugins', 'reference', { help: 'what is done on the way, in this order', refersTo: 'plugins', many: true })),
    group('Times', field('timeout', 'duration', { help: 'how long all of it may take', fallback: '1m' })),
    remark,
  ]),
  section(
    'upstreams',
    true,
    [
      'addresses',
      'Addresses that share the requests sent here.',
      group('Addresses', field('addrs', 'addresses', { help: 'where requests go', many: true, required: true })),
      group(
        'Choosing',
        field('algo', 'choice', { help: 'who gets the next request', choices: ['round_robin', 'least_conn', 'hash:ip'], fallback: 'round_robin' }),
      ),
      group('TLS', field('verify_cert', 'switch', { help: 'false: believe any certificate', fallback: 'true' })),
      group('Times', field('connection_timeout', 'duration', { help: 'how long a TCP connection may take', fallback: '5s' })),
      remark,
    ],
    [
      'agents',
      'Agents that dial in and share the requests sent here.',
      group('Agents', field('agents', 'text', { help: 'the agents that share its requests', required: true, example: '*' })),
      group(
        'Waiting for a slot',
        field('queue', 'number', { help: 'most requests that wait here at once', fallback: '1000', min: 0, max: 1000000 }),
        field('queue_timeout', 'duration', { help: 'how long a request waits for a slot', fallback: '5s' }),
      ),
      remark,
    ],
  ),
  section(
    'plugins',
    true,
    [
      'basic_auth',
      'Asks for a user and a password (HTTP Basic).',
      group(
        'Who may pass',
        field('authorizations', 'secret', { help: 'user:password in base64', many: true }),
        field('delay', 'duration', { fallback: '0' }),
      ),
      remark,
    ],
    [
      'combined_auth',
      'Lets applications in that sign the time with a secret.',
      group(
        'Who may pass',
        field('authorizations', 'tables', {
          help: 'applications',
          many: true,
          required: true,
          columns: [
            field('app_id', 'text', { required: true }),
            field('secret', 'secret', { required: true }),
            field('ip_list', 'list', { many: true }),
          ],
        }),
      ),
      remark,
    ],
    [
      'compression',
      'Compresses answers with zstd, brotli or gzip.',
      group('Levels', field('gzip_level', 'number', { help: 'how hard gzip tries', fallback: '6', min: 0, max: 9 })),
      remark,
    ],
    [
      'directory',
      'Gives out the files of a folder.',
      group('Files', field('path', 'text', { help: 'the folder', required: true }), field('autoindex', 'switch', { fallback: 'false' })),
      remark,
    ],
    [
      'limit',
      'Bounds how much one client asks.',
      group(
        'How much',
        field('type', 'choice', { choices: ['rate', 'inflight'], required: true }),
        field('max', 'number', { required: true, min: 1, max: 1e9 }),
        field('interval', 'duration', { fallback: '10s' }),
        field('tag', 'choice', { choices: ['ip', 'cookie', 'header', 'query'], fallback: 'ip' }),
      ),
      remark,
    ],
  ),
  section('certificates', true, [
    '',
    'Certificates chosen by the name that a client asks for.',
    group('The pair', field('domains', 'list', { many: true }), field('tls_cert', 'long_text'), field('tls_key', 'secret')),
    remark,
  ]),
  section('storages', true, ['', 'Pieces that several items take in.', group('Storage', field('value', 'long_text'))]),
  section('admins', true, [
    '',
    'Who may use the console.',
    group(
      'Who',
      field('password', 'secret', { required: true, help: 'what windlass hash-password prints' }),
      field('role', 'choice', { choices: ['read', 'operate', 'admin'], fallback: 'read' }),
    ),
  ]),
];

const SECRETS = new Set(['password', 'authorizations', 'secret', 'tls_key']);
const state = { text: TEXT, version: 1, history: [{ id: '1', atMs: Date.now() - 7_200_000, by: 'file', note: '', text: TEXT }] };
const logs = [];

function read(text) {
  try {
    return { data: parse(text), problems: [] };
  } catch (error) {
    return {
      data: null,
      problems: [
        {
          level: 'error',
          message: `is no TOML: ${error.message.split('\n')[0]}`,
          file: 'windlass.toml',
          line: error.line ?? 1,
          column: error.column ?? 1,
          subject: '',
        },
      ],
    };
  }
}

function hidden(value, key = '') {
  if (SECRETS.has(key) && typeof value === 'string') return '********';
  if (SECRETS.has(key) && Array.isArray(value) && value.every((one) => typeof one === 'string')) return value.map(() => '********');
  if (Array.isArray(value)) return value.map((one) => hidden(one));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, hidden(of, name)]));
  return value;
}

function problemsOf(text) {
  const { data, problems } = read(text);
  if (data === null) return problems;
  const found = [];
  for (const [name, { upstream }] of Object.entries(data.locations ?? {}))
    if (upstream !== undefined && data.upstreams?.[upstream] === undefined)
      found.push({
        level: 'error',
        message: `locations.${name}.upstream "${upstream}" is no upstream`,
        file: 'windlass.toml',
        line: lineOf(text, 'locations', name),
        column: 1,
        subject: `locations.${name}.upstream`,
      });
  return found;
}

function lineOf(text, section, name) {
  return text.split('\n').findIndex((line) => line.startsWith(name === '' ? `[${section}]` : `[${section}.${name}]`)) + 1;
}

function config() {
  const { data } = read(state.text);
  const problems = problemsOf(state.text);
  const sections = {};
  for (const { section: name, named } of SECTIONS) {
    const items = data?.[name] ?? {};
    sections[name] = (named ? Object.entries(items) : [['', items]]).map(([item, values]) => ({
      name: item,
      file: 'windlass.toml',
      line: lineOf(state.text, name, item),
      values: hidden(values),
      usedBy: named ? usedBy(data, name, item) : [],
    }));
  }
  return {
    etag: `v${state.version}`,
    appliedEtag: `v${state.version}`,
    appliedAtMs: state.history[0].atMs,
    ok: problems.length === 0,
    problems,
    fixed: '',
    files: [{ name: 'windlass.toml', bytes: state.text.length }],
    sections,
  };
}

function usedBy(data, section, name) {
  const refers = { locations: ['servers', 'locations'], upstreams: ['locations', 'upstream'], plugins: ['locations', 'plugins'] }[section];
  if (refers === undefined) return [];
  const [of, key] = refers;
  return Object.entries(data?.[of] ?? {})
    .filter(([, values]) => [values[key]].flat().includes(name))
    .map(([item]) => `${of}.${item}`);
}

function changed(changes) {
  let { text } = state;
  for (const change of changes) {
    if ('file' in change) {
      text = change.text ?? '';
      continue;
    }
    const data = parse(text);
    const named = SECTIONS.find((one) => one.section === change.section)?.named;
    const items = (data[change.section] ??= {});
    if (!named) data[change.section] = change.values;
    else if (change.values === null) delete items[change.name];
    else {
      const old = items[change.name] ?? {};
      const next = Object.fromEntries(
        Object.entries(change.values).map(([key, value]) => [key, JSON.stringify(value).includes('"********"') ? old[key] : value]),
      );
      if (change.rename !== undefined && change.rename !== change.name) delete items[change.name];
      items[change.rename ?? change.name] = next;
    }
    text = stringify(data);
  }
  return text;
}

function diff(before, after) {
  if (before === after) return '';
  const [a, b] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const from = Math.max(0, start - 3);
  const tail = Math.min(3, end);
  const lines = [
    ...a.slice(from, start).map((line) => ` ${line}`),
    ...a.slice(start, a.length - end).map((line) => `-${line}`),
    ...b.slice(start, b.length - end).map((line) => `+${line}`),
    ...a.slice(a.length - end, a.length - end + tail).map((line) => ` ${line}`),
  ];
  return `--- a/windlass.toml\n+++ b/windlass.toml\n@@ -${from + 1},${a.length - end + tail - from} +${from + 1},${b.length - end + tail - from} @@\n${lines.join('\n')}\n`;
}

function verdict(text) {
  const problems = problemsOf(text);
  return { ok: problems.every(({ level }) => level !== 'error'), problems, diff: diff(state.text, text), etag: `v${state.version}` };
}

function apply(world, text, by, note) {
  const found = verdict(text);
  if (!found.ok) throw new Refusal(422, 'config_wrong', 'the configuration cannot be used', { problems: found.problems });
  state.text = text;
  state.version++;
  state.history.unshift({ id: String(state.history.length + 1), atMs: Date.now(), by, note: note ?? '', text });
  world.say('change', { what: 'config' });
  return { ...found, etag: `v${state.version}` };
}

function versionOf(index) {
  const { text: _text, ...version } = state.history[index];
  return { ...version, etag: index === 0 ? `v${state.version}` : version.id, current: index === 0, served: true, changed: [] };
}

const TAGS = ['GET /v1/models 200', 'upstream api: 10.0.0.2:8080 is back', 'agent calm-otter has joined', 'reload: nothing has changed'];

function logLine(i, atMs) {
  return {
    atMs,
    level: ['info', 'info', 'debug', 'warn', 'info', 'error'][i % 6],
    message: TAGS[i % TAGS.length],
    fields: { agent: `agent-${i % 7}`, n: i },
  };
}
for (let i = 0; i < 80; i++) logs.push(logLine(i, Date.now() - (80 - i) * 1_500));

const DAY = 86_400_000;

export const configRoutes = {
  'GET /config': () => config(),
  'GET /config/schema': () => ({ sections: SECTIONS }),
  'GET /config/json-schema': () => ({
    type: 'object',
    properties: Object.fromEntries(
      SECTIONS.map(({ section: name, named, kinds }) => {
        const properties = Object.fromEntries(
          kinds.flatMap(({ groups }) =>
            groups.flatMap(({ fields }) =>
              fields.map(({ key, help, choices }) => [key, { type: 'string', description: help, ...(choices.length > 0 ? { enum: choices } : {}) }]),
            ),
          ),
        );
        return [
          name,
          named
            ? { type: 'object', description: kinds[0].says, additionalProperties: { type: 'object', properties } }
            : { type: 'object', description: kinds[0].says, properties },
        ];
      }),
    ),
  }),
  'GET /config/files/{name}': () => state.text,
  'POST /config/check': ({ body }) => {
    try {
      return verdict(changed(body.changes));
    } catch (error) {
      return { ok: false, problems: read(body.changes[0]?.text ?? '').problems, diff: '', etag: '', error: String(error) };
    }
  },
  'POST /config/apply': ({ body, ifMatch, world, who }) => {
    if (ifMatch !== `v${state.version}`)
      throw new Refusal(412, 'changed_meanwhile', 'somebody else has changed the configuration', {
        etag: `v${state.version}`,
        files: [{ name: 'windlass.toml', text: state.text }],
      });
    return apply(world, changed(body.changes), who.user, body.note);
  },
  'POST /config/reload': () => verdict(state.text),
  'GET /config/history': () => ({ total: state.history.length, items: state.history.map((_, i) => versionOf(i)) }),
  'GET /config/history/{id}': ({ parameters }) => {
    const at = state.history.findIndex(({ id }) => id === parameters.id);
    if (at < 0) throw new Refusal(404, 'not_found', 'There is no such version.');
    const { text } = state.history[at];
    return {
      ...versionOf(at),
      diff: diff(state.history[at + 1]?.text ?? '', text),
      restoreDiff: diff(state.text, text),
      files: [{ name: 'windlass.toml', text }],
    };
  },
  'POST /config/history/{id}/restore': ({ parameters, world, who }) =>
    apply(world, state.history.find(({ id }) => id === parameters.id).text, who.user, `restored ${parameters.id}`),
  'POST /config/rollback': ({ world, who }) => apply(world, state.history[1]?.text ?? state.text, who.user, 'rolled back'),
  'GET /config/export': () => stringify(hidden(parse(state.text))),
  'POST /config/import': ({ body, world, who }) => {
    const found = { ...verdict(body.text), text: body.text, notes: body.format === 'toml' ? [] : ['pid_file was left out'] };
    if (!body.dryRun) apply(world, body.text, who.user, 'import');
    return found;
  },
  'POST /routing/test': ({ body }) => ({
    tests: ['web', 'secure'].map((server) => ({
      server,
      location: body.path.startsWith('/api') ? 'api' : server === 'web' ? 'files' : null,
      status: body.path.startsWith('/api') || server === 'web' ? null : 404,
      refusal: body.path.startsWith('/api') || server === 'web' ? '' : 'no location takes it',
      captures: body.path.startsWith('/api') ? { rest: body.path.slice(5) } : {},
      upstream: body.path.startsWith('/api') ? 'api' : '',
      target: body.path.startsWith('/api') ? body.path.slice(4) || '/' : body.path,
      plugins: body.path.startsWith('/api') ? ['limit', 'users', 'small'] : [],
      considered: [
        { location: 'chat', weight: 520, matches: false, reason: 'host is not chat.example.com' },
        {
          location: 'api',
          weight: 516,
          matches: body.path.startsWith('/api'),
          reason: body.path.startsWith('/api') ? '' : 'path does not begin with /api',
        },
        { location: 'files', weight: 262, matches: true, reason: '' },
      ],
    })),
  }),
  'POST /routing/rewrite': ({ body }) => {
    const [pattern, ...to] = body.rewrite.split(' ');
    try {
      const found = new RegExp(pattern.replaceAll('(?P<', '(?<')).exec(body.path);
      return {
        matches: found !== null,
        target: found === null ? body.path : body.path.replace(new RegExp(pattern), to.join(' ').replace(/\$\{(\w+)\}/g, '$<$1>')),
        captures: { ...found?.groups },
        problem: '',
      };
    } catch (error) {
      return { matches: false, target: '', captures: {}, problem: String(error.message) };
    }
  },
  'POST /routing/log-template': ({ body }) => ({
    line: body.template.replaceAll(/\{(\w+)\}/g, (_, tag) => ({ remote: '203.0.113.7', uri: '/api/users', status: '200' })[tag] ?? `{${tag}}`),
    problem: body.template.includes('{nonsense}') ? '"{nonsense}" is no tag' : '',
  }),
  'GET /certificates': () => ({
    total: 4,
    items: [
      { name: 'example', source: 'acme', days: [-30, 60], problem: '', names: ['example.com', '*.example.com'], usedBy: ['servers.secure'] },
      { name: 'old', source: 'file', days: [-400, -3], problem: 'has expired', names: ['old.example.com'], usedBy: ['servers.secure'] },
      { name: 'soon', source: 'file', days: [-340, 9], problem: '', names: ['api.example.com'], usedBy: [] },
      { name: 'internal', source: 'self_signed', days: [-1, 364], problem: '', names: ['localhost'], usedBy: ['servers.web'] },
    ].map(({ days, ...of }) => ({
      subject: `CN=${of.names[0]}`,
      issuer: of.source === 'acme' ? "CN=R11, O=Let's Encrypt" : 'CN=Example CA',
      notBeforeMs: Date.now() + days[0] * DAY,
      notAfterMs: Date.now() + days[1] * DAY,
      fingerprint: 'AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89',
      ...of,
    })),
  }),
  'GET /logs': ({ query }) => {
    const rank = ['debug', 'info', 'warn', 'error'];
    const least = rank.indexOf(query.get('level') ?? 'debug');
    const items = logs.filter(
      ({ level, message, fields }) =>
        rank.indexOf(level) >= least && `${message} ${JSON.stringify(fields)}`.toLowerCase().includes((query.get('query') ?? '').toLowerCase()),
    );
    return { total: items.length, items: items.slice(-Number(query.get('limit') ?? 200)).toReversed() };
  },
  'GET /logs/events': () => (send) => {
    const timer = setInterval(() => {
      const line = logLine(logs.length, Date.now());
      logs.push(line);
      send('line', line);
    }, 1_000);
    return () => clearInterval(timer);
  },
  'GET /tokens': ({ world }) => ({ total: (world.tokens ??= []).length, items: world.tokens }),
  'POST /tokens': ({ world, body }) => {
    const made = {
      id: `t${Date.now()}`,
      name: body.name,
      role: body.role,
      createdAtMs: Date.now(),
      expiresAtMs: body.ttlMs > 0 ? Date.now() + body.ttlMs : 0,
      lastUsedAtMs: 0,
    };
    (world.tokens ??= []).push(made);
    return { ...made, token: 'wlt_5up3r53cr3t70k3n' };
  },
  'DELETE /tokens/{id}': ({ world, parameters }) => {
    world.tokens = (world.tokens ?? []).filter(({ id }) => id !== parameters.id);
    return {};
  },
  'GET /audit': () => ({
    total: 3,
    items: [
      {
        atMs: Date.now() - 60_000,
        who: 'alice',
        role: 'admin',
        address: '127.0.0.1',
        action: 'POST /config/apply',
        subject: '',
        status: 200,
        detail: 'locations.api',
      },
      {
        atMs: Date.now() - 120_000,
        who: 'deploy',
        role: 'operate',
        address: '10.0.0.8',
        action: 'POST /agents/{id}/drain',
        subject: 'agent-4',
        status: 200,
        detail: '',
      },
      { atMs: Date.now() - 360_000, who: 'mallory', role: '', address: '203.0.113.9', action: 'POST /session', subject: '', status: 401, detail: '' },
    ],
  }),
};
