import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fullExample } from './example.ts';
import { hiddenItem, hideSecrets, shownText, shownValue } from './masked.ts';
import { SecretKeys } from './secret-keys.ts';
import { editToml, sameData, tomlData } from './toml/edit.ts';

const keys = new SecretKeys();

const TEXT = `# what is said of a password stays: comments are for people
# app_password = "canary"
##   keys = ["canary"]
# path = "/x"
[basic]
name = "edge"
sentry = "https://canary@sentry.example.com/1"

[agents]
secret = ["canary-1", 'canary-2'] # two
# secret_file = "agents.secret"

[admins.alice]
password = "$scrypt$canary"
role = "admin"

[servers.web]
tls_key = """-----BEGIN PRIVATE KEY-----
canary
-----END PRIVATE KEY-----"""

[servers.other]
tls_key = "web.key"

[upstreams.gpu]
agents = "*"
on_empty = "https://canary.example.com/hook"

[plugins.door]
category = "basic_auth"
users = ["alice:canary"]
[plugins.key]
category = "key_auth"
header = "X-Key"
keys = ["\${API_KEY}", "canary"]
[plugins.csrf]
category = "csrf"
key = "canary"
[plugins.limit]
category = "limit"
key = "X-User"
[plugins.apps]
category = "combined_auth"
authorizations = [
  { app_id = "one", secret = "canary-a" }, # first
  # { app_id = "old", secret = "canary" },
  { app_id = "two", secret = "canary-b" },
]
[plugins.mine]
module = "./mine.js"
api_token = "canary"
threshold = 5
[storages.piece]
value = '''
keys = ["canary"]
timeout = "3s"
'''
[proxy_plugins.old]
category = 3
value = "X-Key canary"
[hub]
secret = "canary"
app_password_file = "app.password"
`;

test('[threat 63] of a file everything is shown but its secrets', () => {
  const hidden = hideSecrets(TEXT, keys);
  expect(hidden).not.toContain('canary');
  for (const line of [
    '# what is said of a password stays',
    '# path = "/x"',
    '# secret_file = "agents.secret"',
    '# first',
    'name = "edge"',
    'tls_key = "web.key"',
    'key = "X-User"',
    'threshold = 5',
    'secret = ["******** (1)", "******** (2)"] # two',
    'app_password_file = "app.password"',
    'keys = ["${API_KEY}", "******** (2)"]',
    '{ app_id = "two", secret = "******** (2)" },',
    'timeout = "3s"',
  ])
    expect(hidden).toContain(line);
});

test('what was hidden is what it was, wherever it is put; what is changed is what is given', () => {
  expect(tomlData(shownText(hideSecrets(TEXT, keys), TEXT))).toEqual(tomlData(TEXT));
  const data = tomlData(TEXT) as Record<string, Record<string, Record<string, unknown>>>;
  const apps = hiddenItem(['plugins', 'apps'], data['plugins']!['apps']!, data, keys);
  expect(apps['authorizations']).toEqual([
    { app_id: 'one', secret: '******** (1)' },
    { app_id: 'two', secret: '******** (2)' },
  ]);
  const [, two] = apps['authorizations'] as unknown[];
  expect(shownValue({ ...apps, authorizations: [two, { app_id: 'new', secret: 'fresh' }] }, data['plugins']!['apps'], [])).toEqual({
    category: 'combined_auth',
    authorizations: [
      { app_id: 'two', secret: 'canary-b' },
      { app_id: 'new', secret: 'fresh' },
    ],
  });
});

test('one secret of a list stays when others come, and may be put behind them', () => {
  expect(shownValue({ keys: ['new', '********'] }, { keys: ['old'] }, [])).toEqual({ keys: ['new', 'old'] });
  expect(shownValue({ keys: ['******** (2)'] }, { keys: ['one', 'two'] }, [])).toEqual({ keys: ['two'] });
});

test('a secret that is hidden and was not there is refused, with its key', () => {
  expect(() => shownValue({ password: '********' }, {}, ['admins', 'bob'])).toThrow(/admins\.bob\.password is hidden/);
  expect(() => shownValue({ keys: ['********', '********'] }, { keys: ['a'] }, ['plugins', 'k'])).toThrow(/hidden/);
});

test('that a secret is another one is shown, and not which', () => {
  const next = editToml(TEXT, { ...tomlData(TEXT), agents: { secret: ['canary-1', 'canary-9'] } });
  const hidden = hideSecrets(next, keys, TEXT);
  expect(hidden).toContain('secret = ["******** (1)", "******** (2) (changed)"]');
  expect(hidden.match(/changed/g)).toHaveLength(1);
});

test('what is no TOML is not shown at all', () => {
  expect(hideSecrets('[agents]\nsecret = "canary', keys)).not.toContain('canary');
});

const FIELDS = `[locations.api]
upstream = "one"
proxy_set_headers = ["X-Tenant: a", "Authorization: Bearer canary", "X-Api-Key: canary-2", "Authorization: Bearer \${TOKEN}", "X-Auth: $http_x_auth"]
proxy_add_headers = ["Cookie: sid=canary"] # one
set_response_headers = "X-Odd: eyJhbGciOiJIUzI1NiJ9.canarycanary.canary"
match_headers = ["X-Secret:canary", "Accept"]
match_query = ["token:canary", "page"]
# proxy_set_headers = ["X-Api-Key: canary"]
[plugins.mock]
category = "mock"
headers = ["X-Token: canary", "Content-Type: text/plain"]
[plugins.ask]
category = "forward_auth"
auth_url = "http://127.0.0.1:9/verify?user=a&key=canary"
[upstreams.one]
addrs = ["127.0.0.1:1"]
health_check = "http://name/ping?token=canary"
[storages.piece]
category = "config"
value = '''
proxy_set_headers = ["Authorization: Bearer canary"]
'''
`;

test('[threat 63] fields with credentials are hidden wherever they are set or asked for, their names are not, and what was hidden comes back', () => {
  const hidden = hideSecrets(FIELDS, keys);
  expect(hidden).not.toContain('canary');
  for (const line of [
    '["X-Tenant: a", "Authorization: ******** (2)", "X-Api-Key: ******** (3)", "Authorization: Bearer ${TOKEN}", "X-Auth: $http_x_auth"]',
    'proxy_add_headers = ["Cookie: ********"] # one',
    'set_response_headers = "X-Odd: ********"',
    'match_headers = ["X-Secret:******** (1)", "Accept"]',
    'headers = ["X-Token: ******** (1)", "Content-Type: text/plain"]',
  ])
    expect(hidden).toContain(line);
  expect(tomlData(shownText(hidden, FIELDS))).toEqual(tomlData(FIELDS));
  const was = { headers: ['X-Api-Key: one', 'X-Tenant: a', 'Authorization: two'] };
  // One is taken out, another gets a new name, and one is new.
  expect(shownValue({ headers: ['X-Key: ******** (1)', 'Authorization: ******** (3)'] }, was, [])).toEqual({
    headers: ['X-Key: one', 'Authorization: two'],
  });
  expect(shownValue({ headers: ['X-New: 1', 'Cookie: ********'] }, { headers: ['Cookie: a=b: c'] }, [])).toEqual({
    headers: ['X-New: 1', 'Cookie: a=b: c'],
  });
  expect(() => shownValue({ headers: ['X-Key: ******** (2)'] }, { headers: ['X-Key: one'] }, ['locations', 'a'])).toThrow(/is hidden/);
  const changed = FIELDS.replace('Bearer canary"', 'Bearer canary-9"');
  expect(hideSecrets(changed, keys, FIELDS)).toContain('"Authorization: ******** (2) (changed)"');
});

const gateway = new URL('../../test/config/gateway/', import.meta.url);
const FILES: [string, string][] = [
  ['every key', fullExample().replaceAll(/^# (?=\[\w+[.\]]|\w+ = )/gm, '')],
  ...['valid', 'invalid'].flatMap((kind) =>
    readdirSync(new URL(`${kind}/`, gateway)).map((name): [string, string] => [name, readFileSync(new URL(`${kind}/${name}`, gateway), 'utf8')]),
  ),
];

test.each(FILES)('what is hidden of a file comes back as it was, and is hidden the same twice: %s', (_, text) => {
  const hidden = hideSecrets(text, keys);
  if (hidden.startsWith('# This is no valid TOML')) return expect(() => tomlData(text)).toThrow();
  expect(sameData(tomlData(shownText(hidden, text)), tomlData(text))).toBe(true);
  expect(hideSecrets(text, keys)).toBe(hidden);
});
