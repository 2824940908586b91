import { expect, test } from 'vitest';
import { type PiFile, readPiFile } from './pi-file.ts';
import { SettingsError } from './settings-error.ts';

function read(text: string): PiFile {
  return readPiFile('proxy.json', () => text);
}

/** Every line that is said about it. */
function wrong(given: unknown): readonly string[] {
  try {
    read(typeof given === 'string' ? given : JSON.stringify(given, null, 1));
  } catch (error) {
    if (error instanceof SettingsError) return error.lines;
    throw error;
  }
  return [];
}

const server = { address: 'a', port: 1 };
const beats = { heartbeatInterval: 10, heartbeatTimeout: 5 };

test('the file that its documentation shows is read', () => {
  const text = `{ "heartbeatInterval": 10, "heartbeatTimeout": 5,
  "servers": [ { "priority": 0, "name": "tts@container1", "address": "server_container1", "port": 50051, "load": 0.5 },
               { "priority": 1, "name": "tts@container2", "address": "server_container2", "port": 50051, "load": 0.3 } ] }`;
  expect(read(text)).toEqual({
    heartbeatIntervalMs: 10_000,
    heartbeatTimeoutMs: 5_000,
    servers: [
      { priority: 0, name: 'tts@container1', host: 'server_container1', port: 50_051, load: 0.5 },
      { priority: 1, name: 'tts@container2', host: 'server_container2', port: 50_051, load: 0.3 },
    ],
  });
});

test('keys that begin with _ are comments, wherever they stand; what a server does not say has a default', () => {
  const file = read(JSON.stringify({ _why: ['x'], heartbeatInterval: 0.5, heartbeatTimeout: 1.25, servers: [{ ...server, _note: 'the old one' }] }));
  expect(file).toEqual({
    heartbeatIntervalMs: 500,
    heartbeatTimeoutMs: 1_250,
    servers: [{ name: 'a:1', host: 'a', port: 1, priority: 0, load: 0 }],
  });
});

test('addresses may be of either kind, with or without brackets', () => {
  const servers = ['10.0.0.1', '::1', '[fd00::2]', 'Host.Example'].map((address, i) => ({ address, port: 10 + i }));
  expect(read(JSON.stringify({ ...beats, servers })).servers.map(({ host }) => host)).toEqual(['10.0.0.1', '::1', 'fd00::2', 'host.example']);
});

test('priorities that are negative or broken keep their order', () => {
  const servers = [2.5, -1, 7, -1].map((priority, i) => ({ ...server, port: 10 + i, priority }));
  expect(read(JSON.stringify({ ...beats, servers })).servers.map(({ priority }) => priority)).toEqual([1, 0, 2, 0]);
});

test('everything that is wrong is told at once: where, what, and what to write instead', () => {
  const text = `{
  "heartbeatIntervall": 10,
  "heartbeatTimeout": "5",
  "servers": [
    { "prioritty": 0, "name": 7, "address": "a b", "port": 70000, "load": 1.5 },
    { "priority": "0", "address": "10.0.0.1:50051", "load": "0.5" },
    "server_container3"
  ]
}`;
  expect(wrong(text)).toEqual([
    'proxy.json needs heartbeatInterval; write "heartbeatInterval": 10 (seconds)',
    'proxy.json:2:3 heartbeatIntervall is no setting; did you mean heartbeatInterval? (a comment begins with _)',
    'proxy.json:3:3 heartbeatTimeout "5" is no number; write seconds without quotes, such as 5',
    'proxy.json:5:7 servers[0].prioritty is no key of a server; did you mean priority? (a comment begins with _)',
    'proxy.json:5:23 servers[0].name 7 is no text; write it in double quotes',
    expect.stringMatching(/^proxy\.json:5:34 servers\[0\]\.address "a b" .*; give the name or IP address of a server, such as "server_container1"$/),
    'proxy.json:5:52 servers[0].port 70000 is no port; give a number from 1 to 65535',
    'proxy.json:5:67 servers[0].load 1.5 is no load; give the part of its capacity that is in use, from 0 to 1, such as 0.5',
    'proxy.json:6:5 servers[1] needs port; write "port": 50051',
    'proxy.json:6:7 servers[1].priority "0" is no number; write it without quotes; lower ones are preferred',
    'proxy.json:6:24 servers[1].address "10.0.0.1:50051" is more than an address; write the name or IP address alone, and the port as "port"',
    'proxy.json:6:53 servers[1].load "0.5" is no load; give the part of its capacity that is in use, from 0 to 1, such as 0.5',
    expect.stringContaining('proxy.json:7:5 servers[2] "server_container3" is no server; write {'),
  ]);
});

test.each<[unknown, RegExp]>([
  ['', /^proxy\.json is no valid JSON: .*double quotes/],
  ['{"a":1,}', /^proxy\.json:1:8 is no valid JSON: Expected double-quoted property name;/],
  ['{\n "a": 1\n "b": 2 }', /^proxy\.json:3:2 is no valid JSON: Expected ',' or '}' after property value;/],
  ['// c\n{}', /^proxy\.json is no valid JSON: Unexpected token '\/';/],
  [[], /holds no settings; write/],
  [null, /holds no settings; write/],
  [{ ...beats }, /needs servers; write "servers"/],
  [{ ...beats, servers: {} }, /servers \{\} is no list/],
  [{ ...beats, servers: [] }, /servers is empty; name at least one/],
  [{ ...beats, heartbeatInterval: 0, servers: [server] }, /heartbeatInterval 0 is out of range; give seconds from 0\.1 to 86400/],
  [{ ...beats, heartbeatTimeout: -5, servers: [server] }, /heartbeatTimeout -5 is out of range/],
  [{ ...beats, heartbeatTimeout: 1e9, servers: [server] }, /heartbeatTimeout 1000000000 is out of range/],
  [{ ...beats, servers: [server, { ...server, name: 'again' }] }, /servers\[1\] is at a:1, as servers\[0\] is; keep one of them/],
  [{ ...beats, servers: [{ ...server, port: '50051' }] }, /servers\[0\]\.port "50051" is no number; write it without quotes/],
  [{ ...beats, servers: [{ ...server, port: 0 }] }, /port 0 is no port/],
  [{ ...beats, servers: [{ ...server, load: -0.1 }] }, /load -0.1 is no load/],
  [{ ...beats, servers: [{ ...server, address: '' }] }, /address "" is empty/],
  [{ ...beats, servers: [{ ...server, address: 'http://a' }] }, /address "http:\/\/a" is a URL/],
  [{ ...beats, servers: [{ ...server, address: '169.254.169.254' }] }, /is a cloud metadata address|is a link-local address/],
  [{ ...beats, servers: [{ ...server, address: 'a 5' }] }, /"a 5" is more than an address/],
  [{ ...beats, servers: [{ ...server, ['x'.repeat(200)]: 1 }] }, /servers\[0\]\.x{60}… is no key of a server; there are priority, name/],
])('%j is one line with the fix', (given, line) => {
  expect(wrong(given)).toEqual([expect.stringMatching(line)]);
});

test('a file that is not there is one line, too', () => {
  const absent = (): never => {
    throw new Error('does not exist');
  };
  expect(() => readPiFile('config/proxy_config.json', absent)).toThrow(
    'config/proxy_config.json does not exist; name the JSON file behind the command, or in PROXY_SERVER_CONFIG',
  );
});
