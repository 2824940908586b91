import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import { importSlime } from './slime.ts';
import { SettingsError } from '../settings-error.ts';

function imported(yaml: string): { data: unknown; notes: readonly string[]; usable: boolean } {
  const { toml, notes, usable } = importSlime('slime.yaml', () => yaml);
  return { data: parse(toml), notes, usable };
}

test("slime's keys become those of [hub] and [agent], each where it is known", () => {
  expect(
    imported(`# a hub and an agent on one machine
secret: not-so-secret
appPassword: "pass word"
host: 127.0.0.1
port: 9000
concurrent: 10
token: ABC
hub: localhost:9000
upstream: localhost:3000,localhost:3001
numWorker: 4
reportHardware: false
agentID: 5
`),
  ).toEqual({
    data: {
      hub: { secret: 'not-so-secret', app_password: 'pass word', host: '127.0.0.1', port: 9000, concurrent: 10 },
      agent: { token: 'ABC', hub: 'localhost:9000', upstream: 'localhost:3000,localhost:3001', num_worker: 4, report_hardware: false, agent_id: 5 },
    },
    notes: [],
    usable: true,
  });
});

test('tables of commands are read, and lists', () => {
  expect(imported('hub:\n  run:\n    apppassword: x\n    port: 1\nagent:\n  run:\n    hub: h:1\n    upstream: [a:1, b:2]\n').data).toEqual({
    hub: { app_password: 'x', port: 1 },
    agent: { hub: 'h:1', upstream: ['a:1', 'b:2'] },
  });
});

test('what is not known is left out and told of', () => {
  expect(imported('port: 1\ncolour: red\nhub:\n  run:\n    shade: 5\nempty:\n')).toEqual({
    data: { hub: { port: 1 } },
    notes: ['colour is not known and was left out', 'hub.shade is not known and was left out'],
    usable: false,
  });
});

test.each([
  ['a: [1\nsecret: canary', /^slime\.yaml:\d+:\d+ is no valid YAML$/],
  ['- a\n- b', /^slime\.yaml holds no settings;/],
  ['just text', /^slime\.yaml holds no settings;/],
  ['a: &a [*a, *a]', /^slime\.yaml/],
])('what is no configuration is refused, and not quoted: %j', (yaml, line) => {
  let error: unknown;
  try {
    importSlime('slime.yaml', () => yaml);
  } catch (reason) {
    error = reason;
  }
  expect(error).toBeInstanceOf(SettingsError);
  expect((error as SettingsError).lines).toEqual([expect.stringMatching(line)]);
  expect((error as SettingsError).message).not.toContain('canary');
});

test('[threat 60] aliases that multiply are refused', () => {
  const lines = ['a: &a [x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 12; i++)
    lines.push(
      `${'abcdefghijkl'[i]}: &${'abcdefghijkl'[i]} [${Array(8)
        .fill(`*${'abcdefghijkl'[i - 1]}`)
        .join(', ')}]`,
    );
  expect(() => importSlime('slime.yaml', () => lines.join('\n'))).toThrow(SettingsError);
});

test('a password or secret of digits stays the text that it is', () => {
  const text = 'appPassword: 007\nhub:\n  run:\n    secret: 0123456789012345678901234567890123456789\nport: 8080\n';
  const { toml } = importSlime('FILE', () => text);
  expect(parse(toml)).toMatchObject({ hub: { app_password: '007', secret: '0123456789012345678901234567890123456789', port: 8080 } });
});
