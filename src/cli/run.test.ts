import { expect, test } from 'vitest';
import { fakeWorld } from '../../test/config/world.ts';
import { createKeyring, openToken, type TokenClaims } from '../tunnel/token.ts';
import { commands } from './commands.ts';
import { run } from './run.ts';

const SECRET = 'canary-5ecre7-canary-5ecre7';

/** Runs what must fail before anything starts; the line it says. */
async function complaint(line: string | readonly string[], env: Record<string, string> = {}, files: Record<string, string> = {}): Promise<string> {
  const world = fakeWorld(env, files);
  const code = await run(typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line, world);
  expect(code).toBe(2);
  expect(world.out()).toBe('');
  expect(world.listening()).toBe(0);
  const said = world.err();
  expect(said.endsWith('\n')).toBe(true);
  expect(said).not.toContain('canary');
  expect(said).not.toMatch(/\n\s+at /);
  return said.trimEnd();
}

async function registered(argv: readonly string[], env: Record<string, string> = {}, files: Record<string, string> = {}): Promise<TokenClaims> {
  const world = fakeWorld(env, files);
  expect(await run(['hub', 'register', ...argv], world), world.err()).toBe(0);
  const opened = openToken(world.out().trim(), createKeyring([SECRET]), Date.now());
  if ('reason' in opened) throw new Error(opened.reason);
  return opened;
}

test.each([
  ['hub runn', 'windlass: no command hub runn; did you mean windlass hub run?'],
  ['hub regster', 'windlass: no command hub regster; did you mean windlass hub register?'],
  ['hub zzzzzz', 'windlass: no command hub zzzzzz; there is windlass hub run or windlass hub register or windlass hub install'],
  ['hub', 'windlass: hub needs one word more: windlass hub run or windlass hub register or windlass hub install'],
  ['agent', 'windlass: agent needs one word more: windlass agent run or windlass agent install'],
  ['prox --from :1', 'windlass: no command prox; did you mean windlass proxy?'],
  ['hubrun', 'windlass: no command hubrun; did you mean windlass hub run?'],
  ['demmo', 'windlass: no command demmo; did you mean windlass demo?'],
  ['qqqqqqqqqq', 'windlass: no command qqqqqqqqqq; see windlass --help'],
  ['constructor', 'windlass: no command constructor; see windlass --help'],
  ['--port 80 hub run', 'windlass: give a command before --port; see windlass --help'],
  ['help nothing', 'windlass: no command nothing; see windlass --help'],
  ['nothing --help', 'windlass: no command nothing; see windlass --help'],
])('a wrong command is one line with the nearest right one: %s', async (line, said) => {
  expect(await complaint(line)).toBe(said);
});

test.each([
  ['hub run --prot 80', 'windlass: hub run: no flag --prot; did you mean --port?'],
  ['hub run --app-pasword canary', 'windlass: hub run: no flag --app-pasword; did you mean --app-password?'],
  ['hub run --app-pasword=canary', 'windlass: hub run: no flag --app-pasword; did you mean --app-password?'],
  ['hub run --apppassord x', 'windlass: hub run: no flag --apppassord; did you mean --app-password?'],
  ['agent run --numWorkers 4', 'windlass: agent run: no flag --numWorkers; did you mean --num-worker?'],
  ['agent run --zzzzzzzzzz', 'windlass: agent run: no flag --zzzzzzzzzz; see windlass agent run --help'],
  ['hub run --__proto__ x', 'windlass: hub run: no flag --__proto__; see windlass hub run --help'],
  ['hub run --constructor', 'windlass: hub run: no flag --constructor; see windlass hub run --help'],
  ['hub run -p 80', 'windlass: hub run: no flag -p; see windlass hub run --help'],
  ['hub run --port', 'windlass: hub run: --port needs a value: --port PORT'],
  ['hub run --secret --port 80', 'windlass: hub run: --secret needs a value: --secret SECRET'],
  ['agent run --token --hub=x:1', 'windlass: agent run: --token needs a value: --token SECRET'],
  ['hub run --config', 'windlass: hub run: --config needs a value: --config PATH'],
  ['hub run canary', 'windlass: hub run: takes flags only; see windlass hub run --help'],
  [
    'hub run --port 80 canary',
    'windlass: hub run: a word stands without its flag (quote values with spaces, write --flag=false for switches); see windlass hub run --help',
  ],
  [
    'agent run --report-hardware false',
    'windlass: agent run: a word stands without its flag (quote values with spaces, write --flag=false for switches); see windlass agent run --help',
  ],
  ['hub register --json=yes', 'windlass: hub register: --json takes no value'],
  ['demo --config x.toml', 'windlass: demo reads no file; leave --config out'],
])('a wrong flag is one line with the nearest right one, and quotes no value: %s', async (line, said) => {
  expect(await complaint(line)).toBe(said);
});

const HUB = ['hub', 'run', '--secret', SECRET];
const AGENT = ['agent', 'run', '--token', SECRET, '--hub', 'hub:8080', '--upstream', 'localhost:3000'];

test.each([
  [[...HUB, '--port', '99999'], 'windlass: --port "99999" is no port; give a number from 1 to 65535 (0 = any free one)'],
  [[...HUB, '--port', '-1'], 'windlass: --port "-1" is no port; give a number from 1 to 65535 (0 = any free one)'],
  [[...HUB, '--port=80a'], 'windlass: --port "80a" is no port; give a number from 1 to 65535 (0 = any free one)'],
  [[...HUB, '--port='], 'windlass: --port "" is no port; give a number from 1 to 65535 (0 = any free one)'],
  [[...HUB, '--host', 'a b'], 'windlass: --host "a b" has no valid host; write it as HOST:PORT or :PORT, such as 127.0.0.1:8080'],
  [[...HUB, '--host', '0.0.0.0:80'], 'windlass: --host "0.0.0.0:80" has a port in it; give the port with --port'],
  [[...HUB, '--queue-timeout', '30'], 'windlass: --queue-timeout "30" has no unit; write 30s for seconds or 30ms for milliseconds'],
  [
    [...HUB, '--queue-timeout', '5 minutes'],
    'windlass: --queue-timeout "5 minutes" is no duration; write it as 500ms, 30s, 5m or 1h2m3s (units: ms, s, m, h, d)',
  ],
  [[...HUB, '--drain-timeout', '60d'], 'windlass: --drain-timeout "60d" is too long; the longest is 24d20h31m23s647ms'],
  [[...HUB, '--max-body', '10k'], 'windlass: --max-body "10k" has a unit that is not known; write 10KiB (of 1024) or 10KB (of 1000)'],
  [[...HUB, '--concurrent', 'many'], 'windlass: --concurrent "many" is no whole number; give a number from 0 to 10000000'],
  [[...HUB, '--queue-size', '-5'], 'windlass: --queue-size "-5" is out of range; give a number from 0 to 1000000'],
  [
    [...HUB, '--trusted-proxies', '10.0.0.0/8,10.0.0.0/99'],
    'windlass: --trusted-proxies "10.0.0.0/99" has a bad prefix length; give a number from 0 to 32 after the slash',
  ],
  [
    [...HUB, '--trusted-proxies', '10.1.0.0/8'],
    'windlass: --trusted-proxies "10.1.0.0/8" has bits set after its prefix; write 10.0.0.0/8, or the address alone',
  ],
  [
    [...HUB, '--log-level', 'warning'],
    'windlass: --log-level "warning" is not one of the choices; did you mean warn? (choose debug, info, warn, error or silent)',
  ],
  [[...HUB, '--admin-addr', 'localhost'], 'windlass: --admin-addr "localhost" has no port; write it as HOST:PORT or :PORT, such as localhost:8080'],
  [
    [...HUB, '--admin-addr', '::1:80'],
    'windlass: --admin-addr "::1:80" has more than one colon; put an IPv6 address in brackets, such as [::1]:8080',
  ],
  [
    [...HUB, '--upgrades', 'h2c'],
    'windlass: --upgrades "h2c" is not of the right form; tokens are lower case, such as websocket (h2c is never passed)',
  ],
  [[...AGENT, '--num-worker', '0'], 'windlass: --num-worker "0" is out of range; give a number from 1 to 100000'],
  [[...AGENT, '--numWorker=1.5'], 'windlass: --num-worker "1.5" is no whole number; give a number from 1 to 100000'],
  [[...AGENT, '--upstream', 'ftp://x'], 'windlass: --upstream "ftp://x" has a scheme that is not supported; use http:// or https://'],
  [[...AGENT, '--upstream', '3000'], 'windlass: --upstream "3000" is only a port; write localhost:3000'],
  [
    [...AGENT, '--upstream', 'http://me:canary@h:0'],
    'windlass: --upstream "http://***@h:0" has no valid port; give one from 1 to 65535, such as localhost:3000',
  ],
  [
    [...AGENT, '--upstream', 'http://me:can@ary@h:x'],
    'windlass: --upstream "http://***@h:x" has no valid port; give one from 1 to 65535, such as localhost:3000',
  ],
  // The comma cuts the password in two; neither half may be shown.
  [
    [...AGENT, '--upstream', 'http://me:canary,x@h:1'],
    'windlass: --upstream "http://***@h:1" has no valid port; give one from 1 to 65535, such as localhost:3000',
  ],
  [[...AGENT, '--hub', 'http://[::1'], 'windlass: --hub "http://[::1" has no valid host; write it as http://host:port'],
  [[...AGENT, '--label', 'gpu'], 'windlass: --label "gpu" has no =; write gpu=VALUE'],
  [
    [...AGENT, '--label', '__proto__=x'],
    'windlass: --label "__proto__=x" has a bad key; a key begins with a letter and has letters, digits and . _ / - (at most 63)',
  ],
  [[...AGENT, '--allow', 'get /v1/*'], 'windlass: --allow "get /v1/*" has a bad method; methods are upper case: GET'],
  [
    [...AGENT, '--allow', 'GET /v1/*/x'],
    'windlass: --allow "GET /v1/*/x" has a * that is not at the end; only the end of a path may be open, such as \'/v1/*\'',
  ],
  [[...AGENT, '--on-abort', 'stop'], 'windlass: --on-abort "stop" is not one of the choices; choose cancel, drain or drain_capped'],
  [[...AGENT, '--report-hardware=maybe'], 'windlass: --report-hardware "maybe" is neither true nor false; write true or false'],
  [['proxy', '--from', ':8080', '--to', 'http://'], 'windlass: --to "http://" has no host; write it as http://host:port'],
  [['proxy', '--from', 'x', '--to', 'y:1'], 'windlass: --from "x" has no port; write it as HOST:PORT or :PORT, such as x:8080'],
  [
    ['hub', 'register', '--secret', SECRET, '--age', '1y'],
    'windlass: --age "1y" is no duration; write it as 500ms, 30s, 5m or 1h2m3s (units: ms, s, m, h, d)',
  ],
  [['hub', 'register', '--secret', SECRET, '--scope-paths', 'v1'], 'windlass: --scope-paths "v1" does not begin with /; write /v1'],
  [
    ['hub', 'register', '--secret', SECRET, '--scopePaths', '/v1/*'],
    'windlass: --scope-paths "/v1/*" has a * at its end; scope paths are exact; list each path',
  ],
  [['hub', 'run', '--secret', ''], 'windlass: --secret is empty; give a value or leave it out'],
  [['hub', 'run', '--secret', 'canary\nx'], 'windlass: --secret has control characters in it; is there a line break too many?'],
])('a bad value is one line with the fix: %j', async (argv, said) => {
  expect(await complaint(argv)).toBe(said);
});

test('a value that would draw on the terminal is shown escaped, and a long one cut', async () => {
  expect(await complaint([...HUB, '--port', '\u001b[31mred\u202e'])).toContain('--port "\\u001b[31mred?" is no port');
  expect((await complaint([...HUB, '--port', 'x'.repeat(10_000)])).length).toBeLessThan(250);
  expect(await complaint(['hub', 'run', `--\u001b[31m${'x'.repeat(1000)}`])).toBe(
    `windlass: hub run: no flag --?[31m${'x'.repeat(33)}; see windlass hub run --help`,
  );
});

test.each([
  [
    'hub run',
    'windlass: hub run needs --secret (or --secret-file, or environment SECRET, or secret in [hub] of a --config file); openssl rand -hex 32 makes a good one',
  ],
  ['proxy --from :80', 'windlass: proxy needs --to (or environment WINDLASS_TO, or to in [proxy] of a --config file); such as localhost:3000'],
  [
    'hub register',
    'windlass: hub register needs --secret (or --secret-file, or environment SECRET, or secret in [hub] of a --config file); the one that the hub runs with',
  ],
])('a required value that is missing is named with flag, environment and key: %s', async (line, said) => {
  expect(await complaint(line)).toBe(said);
});

test('all that is wrong is said at once, a line each', async () => {
  const said = await complaint('agent run --num-worker 0 --hub :1');
  expect(said.split('\n').map((line) => line.slice(0, 40))).toEqual([
    'windlass: agent run needs --token (or --',
    'windlass: --hub ":1" has no host; write ',
    'windlass: agent run needs --upstream (or',
    'windlass: --num-worker "0" is out of ran',
  ]);
});

test('an error names where the value came from', async () => {
  expect(await complaint(HUB, { PORT: 'abc' })).toMatch(/^windlass: environment PORT "abc" is no port;/);
  expect(await complaint(HUB, { WINDLASS_PORT: 'abc', PORT: '80' })).toMatch(/^windlass: environment WINDLASS_PORT "abc" is no port;/);
  expect(await complaint([...HUB, '--config', 'w.toml'], {}, { 'w.toml': '[hub]\n\nport = "abc"\n' })).toMatch(
    /^windlass: w.toml:3:1 hub.port "abc" is no port;/,
  );
});

test.each([
  ['flag', ['--secret-file', 'none'], {}, 'windlass: --secret-file "none" does not exist; give the path of a file that holds the secret'],
  [
    'environment',
    [],
    { SECRET_FILE: 'none' },
    'windlass: environment SECRET_FILE "none" does not exist; give the path of a file that holds the secret',
  ],
  ['empty', ['--secret-file', 'empty'], {}, 'windlass: --secret-file "empty" holds nothing; write the secret into it'],
  ['two lines', ['--secret-file', 'good', '--app-password-file', 'two'], {}, 'windlass: --app-password-file "two" holds 2 lines; it must hold one'],
  ['control', ['--secret-file', 'control'], {}, 'windlass: --secret-file "control" has control characters in it; is there a line break too many?'],
  ['both', ['--secret-file', 'good', '--secret', 'x'], {}, 'windlass: --secret-file and --secret are both given; keep one (the file is safer)'],
])('a secret file that cannot be used: %s', async (_, argv, env: Record<string, string>, said) => {
  const files = { empty: ' \n\n', two: 'canary1\ncanary2\n', control: 'canary\u0000canary', good: 'canary-canary' };
  expect(await complaint(['hub', 'run', ...argv], env, files)).toBe(said);
});

test('flag before environment before file before default', async () => {
  const files = { 'w.toml': `[hub]\nsecret = "${SECRET}"\n`, secret: SECRET, wrong: 'wrong' };
  expect((await registered(['--name', 'flag'], { NAME: 'env', SECRET })).name).toBe('flag');
  expect((await registered([], { NAME: 'env', SECRET })).name).toBe('env');
  expect((await registered([], { WINDLASS_NAME: 'ours', NAME: 'env', SECRET })).name).toBe('ours');
  expect((await registered([], { NAME: '', SECRET })).name).toMatch(/^[a-z]+-[a-z]+$/);
  // Each of these fails to open with SECRET unless the stronger source won.
  await registered(['--secret', SECRET], { SECRET: 'wrong' });
  await registered(['--secret-file', 'secret'], { SECRET: 'wrong' }, files);
  await registered([], { SECRET_FILE: 'secret' }, files);
  await registered(['--config', 'w.toml'], {}, files);
  await registered([], { WINDLASS_CONFIG: 'w.toml' }, files);
  await registered(['--secret', SECRET, '--config', 'w.toml'], {}, { 'w.toml': '[hub]\nsecret = "wrong"\n' });
  await registered(['--config', 'w.toml'], { SECRET }, { 'w.toml': '[hub]\nsecret = "wrong"\n' });
});

test("slime's spellings of flags and environment work", async () => {
  expect((await registered(['--secret', SECRET, '--scopePaths', '/a,/b'])).scopePaths).toEqual(['/a', '/b']);
  expect((await registered(['--secret', SECRET], { SCOPEPATHS: '/a', SCOPES: 'x,y' })).scopePaths).toEqual(['/a']);
  expect((await registered([`--secret=${SECRET}`, '--scopes', 'a', '--scopes=b, c'])).scopes).toEqual(['a', 'b', 'c']);
  for (const env of [{ NUMWORKER: 'x' }, { NUM_WORKER: 'x' }, { WINDLASS_NUM_WORKER: 'x' }]) expect(await complaint(AGENT, env)).toContain('NUM');
  for (const flag of ['--agentID', '--agentId', '--agent-id'])
    expect(await complaint([...AGENT, flag, 'a b'])).toMatch(/^windlass: --agent-id "a b"/);
  for (const env of ['AGENTID', 'AGENT_ID']) expect(await complaint(AGENT, { [env]: 'a b' })).toMatch(/AGENT_?ID "a b"/);
  for (const env of ['REPORTHARDWARE', 'REPORT_HARDWARE']) expect(await complaint(AGENT, { [env]: 'x' })).toContain(`environment ${env} "x"`);
  for (const env of ['HOST', 'PORT', 'CONCURRENT']) expect(await complaint(HUB, { [env]: 'a b' })).toContain(`environment ${env} "a b"`);
  for (const env of ['APPPASSWORD', 'APP_PASSWORD', 'WINDLASS_APP_PASSWORD'])
    expect(await complaint(HUB, { [env]: 'canary\n' })).toBe(
      `windlass: environment ${env} has control characters in it; is there a line break too many?`,
    );
  for (const env of ['APPPASSWORD_FILE', 'APP_PASSWORD_FILE'])
    expect(await complaint(HUB, { [env]: 'x' })).toContain(`environment ${env} "x" does not exist`);
});

test('the token stands alone on the last line of standard output; people read standard error', async () => {
  const world = fakeWorld();
  expect(await run(['hub', 'register', '--secret', SECRET, '--name', 'gpu box', '--age', '1h2m3s', '--scopes', 'gpu', '--id', 'x1'], world)).toBe(0);
  expect(world.out()).toMatch(/^wl1\.[\w-]+\n$/);
  expect(world.err()).toMatch(/gpu box \(id x1\)\n {2}works {3}until 20\S+ \(1h2m3s\)\n {2}scopes {2}gpu\n/);
  expect(world.err()).not.toContain('wl1.');
  const claims = openToken(world.out().trim(), createKeyring([SECRET]), Date.now()) as TokenClaims;
  expect(claims.expiresMs - claims.issuedMs).toBeGreaterThan(3_722_000);
  expect(claims.expiresMs - claims.issuedMs).toBeLessThan(3_725_000);
});

test('--json prints one object with the token and its claims', async () => {
  const world = fakeWorld();
  expect(await run(['hub', 'register', '--secret', SECRET, '--json'], world)).toBe(0);
  const { token, id, name, ...rest } = JSON.parse(world.out()) as Record<string, string>;
  expect(openToken(token!, createKeyring([SECRET]), Date.now())).toMatchObject({ id, name });
  expect(rest).toEqual({ scopes: [], scopePaths: [], labels: {}, expires: null });
});

test('--label bounds what the agent may announce, and the id that revokes the token is printed', async () => {
  const world = fakeWorld();
  const labels = ['--label', 'route=/images /video', '--label', 'gpu=a100'];
  expect(await run(['hub', 'register', '--secret', SECRET, '--id', 'box-7', '--name', 'box', ...labels], world)).toBe(0);
  expect(openToken(world.out().trim(), createKeyring([SECRET]), 0)).toMatchObject({
    labels: new Map([
      ['route', '/images /video'],
      ['gpu', 'a100'],
    ]),
  });
  expect(world.err()).toContain('agent token for box (id box-7)');
  expect(world.err()).toContain('labels  route=/images /video, gpu=a100');
});

test('with several secrets the first line of the file seals', async () => {
  const world = fakeWorld({}, { secrets: `\ufeff${SECRET}\r\n\r\nold\r\n` });
  expect(await run(['hub', 'register', '--secret-file', 'secrets'], world)).toBe(0);
  expect(openToken(world.out().trim(), createKeyring([SECRET]), 0)).toHaveProperty('id');
});

test('claims that do not fit into a token are an error of who asked', async () => {
  const scopes = Array.from({ length: 400 }, (_, i) => `scope-number-${i}`).join(',');
  expect(await complaint(['hub', 'register', '--secret', SECRET, '--scopes', scopes])).toBe(
    'windlass: hub register: this is too much for one token: fewer or shorter scopes and paths are needed',
  );
});

test('secrets in arguments are hidden, the rest stays readable [threat 63]', async () => {
  const hidden = async (argv: readonly string[]): Promise<string | undefined> => {
    const world = fakeWorld();
    await run(argv, world);
    return world.hidden()?.join(' ');
  };
  expect(await hidden([...HUB, '--appPassword=canary', '--port', 'x'])).toBe('hub run --secret *** --appPassword *** --port x');
  expect(await hidden(['proxy', '--from', 'x', '--to', 'http://me:canary@h:1'])).toBe('proxy --from x --to http://***@h:1');
  expect(await hidden(['hub', 'run', '--port', 'x', '--secret-file', 'y'])).toBeUndefined();
});

test('secrets that were read are not left in the environment for children and crash reports [threat 63]', async () => {
  const world = fakeWorld({ SECRET, WINDLASS_SECRET: SECRET, NAME: 'x' });
  expect(await run(['hub', 'register'], world)).toBe(0);
  expect(world.env).toEqual({ NAME: 'x' });
});

test('every command has help with examples that its own parser accepts', async () => {
  const { parseFlags, withOperand } = await import('./args.ts');
  for (const command of commands) {
    const name = command.words.join(' ');
    for (const argv of [
      ['help', ...command.words],
      [...command.words, '--help'],
      [...command.words, '--nonsense', '-h'],
    ]) {
      const world = fakeWorld();
      expect(await run(argv, world)).toBe(0);
      expect(world.out()).toContain(`Usage: windlass ${name} [flags]`);
      expect(world.err()).toBe('');
      expect(
        Math.max(
          ...world
            .out()
            .split('\n')
            .map((line) => (line.startsWith('  ') && !line.startsWith('  windlass') ? line.length : 0)),
        ),
      ).toBeLessThanOrEqual(140);
    }
    expect(command.examples.length).toBeGreaterThanOrEqual(2);
    for (const [line] of command.examples) {
      const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!.replace(/\)$/, ''));
      const start = words.findIndex((word) => word.endsWith('windlass'));
      expect(words.slice(start + 1, start + 1 + command.words.length)).toEqual(command.words);
      const all = words.slice(start + 1 + command.words.length);
      const end = all.findIndex((word) => ['>', '<', '|', '&&'].includes(word));
      const flags = end < 0 ? all : all.slice(0, end);
      parseFlags(withOperand(command, flags), await command.table(), Object.keys(command.switches), name);
    }
  }
});

test('help of the whole, of a group and of files', async () => {
  for (const [line, part] of [
    ['', 'Commands\n  hub run '],
    ['--help', 'Commands\n  hub run '],
    ['-h', 'Commands\n  hub run '],
    ['help', 'Exit codes'],
    ['hub --help', 'Commands\n  hub run '],
    ['help hub', 'hub register'],
    ['help config', '[agent]  for windlass agent run'],
  ]) {
    const world = fakeWorld();
    expect(await run(line!.split(' ').filter(Boolean), world)).toBe(0);
    expect(world.out()).toContain(part);
  }
});

test('version says name and version, or all that a bug report needs', async () => {
  for (const line of ['version', '--version', '-v', '-V']) {
    const world = fakeWorld();
    expect(await run([line], world)).toBe(0);
    expect(world.out()).toMatch(/^windlass \d+\.\d+\.\d+\S*\n$/);
  }
  const world = fakeWorld();
  await run(['version', '--json'], world);
  expect(JSON.parse(world.out())).toMatchObject({ name: 'windlass', node: process.versions.node });
});

test('--config may stand before the command', async () => {
  const files = { 'w.toml': `[hub]\nsecret = "${SECRET}"\n` };
  for (const argv of [
    ['--config', 'w.toml', 'hub', 'register'],
    ['--config=w.toml', 'hub', 'register'],
  ]) {
    const world = fakeWorld({}, files);
    expect(await run(argv, world), world.err()).toBe(0);
  }
});

test.each([
  ['proxy --from :0 --to a:1 --tls-cert c.pem', {}, 'windlass: --tls-cert needs --tls-key as well: give both (or neither, for plain HTTP)'],
  ['hub run --secret-file s --tls-key k.pem', {}, 'windlass: --tls-key needs --tls-cert as well: give both (or neither, for plain HTTP)'],
  ['hub run --secret-file s', { WINDLASS_TLS_KEY: 'k.pem' }, 'windlass: --tls-key needs --tls-cert as well: give both (or neither, for plain HTTP)'],
])('half of a TLS pair is one line: %s %o', async (line, env, said) => {
  expect(await complaint(line, env, { s: SECRET })).toBe(said);
});

test('a TLS pair that is not there is one line with the file', async () => {
  const world = fakeWorld({}, {});
  expect(await run('proxy --from 127.0.0.1:0 --to a:1 --tls-cert /nowhere/c.pem --tls-key /nowhere/k.pem'.split(' '), world)).toBe(2);
  expect(world.err()).toBe('windlass: --tls-cert and --tls-key cannot be used: /nowhere/c.pem does not exist\n');
});

test.each([
  ['--proxy socks5://canary:canary@p:1', {}, 'windlass: --proxy "socks5://***@p:1" has a scheme that is not supported; use http:// or https://'],
  [
    '',
    { HTTPS_PROXY: 'socks5://canary@p:1' },
    'windlass: environment HTTPS_PROXY has a scheme that is not supported; use http:// or https://, or go past it with --proxy off',
  ],
  [
    '',
    { all_proxy: 'http://canary@:1' },
    'windlass: environment all_proxy has no host; write it as http://host:port, or go past it with --proxy off',
  ],
  [
    '--transport websockets',
    {},
    'windlass: --transport "websockets" is not one of the choices; did you mean websocket? (choose upgrade or websocket)',
  ],
  ['', { WINDLASS_PROXY: 'ftp://p' }, 'windlass: environment WINDLASS_PROXY "ftp://p" has a scheme that is not supported; use http:// or https://'],
])('a way to the hub that cannot be used is one line: %s %o', async (flags, env, said) => {
  expect(await complaint(`agent run --token-file t --hub h:1 --upstream u:1 ${flags}`, env, { t: 'wl1.x' })).toBe(said);
});
