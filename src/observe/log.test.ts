import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLog, type LogOptions, nullLog } from './log.ts';

const WALL = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function logInto(options: LogOptions = {}): { log: ReturnType<typeof createLog>; lines: string[] } {
  const lines: string[] = [];
  const stream = { write: (line: string) => lines.push(line) };
  return { log: createLog({ stream, wall: () => WALL, level: 'debug', color: false, ...options }), lines };
}

test('the JSON form says time, level, message and fields on one line', () => {
  const { log, lines } = logInto({ format: 'json' });
  log.child({ agent: 'a1' }).warn({ slots: 4 }, 'no slot');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toEqual({ level: 'warn', time: '2026-01-02T03:04:05.678Z', agent: 'a1', slots: 4, msg: 'no slot' });
});

test('the pretty form says level, message and fields', () => {
  const { log, lines } = logInto({ format: 'pretty' });
  log.child({ agent: 'a1' }).warn({ slots: 4, why: 'two words' }, 'no slot');
  expect(lines.join('')).toMatch(/^\d\d:\d\d:\d\d\.\d{3} warn {2}no slot agent=a1 slots=4 why="two words"\n$/);
});

test('auto is JSON, unless the stream is a terminal', () => {
  expect(logInto({}).lines).toEqual([]);
  const json = logInto({});
  json.log.info({}, 'x');
  expect(json.lines[0]).toMatch(/^\{/);
  const seen: string[] = [];
  createLog({ stream: { write: (line) => seen.push(line), isTTY: true }, color: false }).info({}, 'x');
  expect(seen[0]).toMatch(/ info {2}x\n$/);
});

test.each(['json', 'pretty'] as const)('levels below the chosen one say nothing (%s)', (format) => {
  const { log, lines } = logInto({ format, level: 'warn' });
  log.debug({}, 'a');
  log.info({}, 'b');
  log.warn({}, 'c');
  log.error({}, 'd');
  expect(lines).toHaveLength(2);
});

test('silent says nothing at all', () => {
  const { log, lines } = logInto({ format: 'json', level: 'silent' });
  log.error({}, 'x');
  expect(lines).toEqual([]);
  nullLog.child({}).error({}, 'x');
});

test.each(['json', 'pretty'] as const)('a line is one line of text that no terminal obeys, whatever stands in it [threat 61] (%s)', (format) => {
  const hostile = fc.string({
    unit: fc.oneof(fc.constantFrom('\r', '\n', '\u001b[2J', '\0', '"', '\\', '\u009b', '\u202e', '\u2028', '\u007f'), fc.string()),
  });
  fc.assert(
    fc.property(hostile, hostile, hostile, (message, key, value) => {
      const { log, lines } = logInto({ format });
      log.info({ [key]: value, deep: { [key]: [value] } }, message);
      const line = lines.join('');
      expect(line.endsWith('\n')).toBe(true);
      // oxlint-disable-next-line no-control-regex -- control characters are the subject
      expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
      if (format === 'json') expect(JSON.parse(line)).toHaveProperty('level', 'info');
    }),
  );
});

test.each(['json', 'pretty'] as const)('secrets never reach the log [threat 62] (%s)', (format) => {
  const { log, lines } = logInto({ format });
  const canary = 'c4n4ry';
  log.child({ 'windlass-token': canary }).info(
    {
      authorization: `Bearer ${canary}`,
      Cookie: canary,
      'set-cookie': [canary],
      appPassword: canary,
      'Slime-App-Password': canary,
      'slime-agent-token': canary,
      secrets: [canary],
      resume_secret: canary,
      nested: { deep: { apiKey: canary } },
      url: `https://user:${canary}@example.org/v1?token=${canary}&x=1`,
      error: new Error(`connect to http://u:${canary}@host failed`, { cause: { password: canary } }),
    },
    `hub http://me:${canary}@hub:8080/?access_token=${canary}`,
  );
  expect(lines.join('')).not.toContain(canary);
  expect(lines.join('')).toContain('https://***@example.org/v1?token=***&x=1');
});

test('names that only speak of secrets are kept', () => {
  const { log, lines } = logInto({ format: 'json' });
  log.info({ secretFile: '/run/secret', tokenId: 7, keys: 3 }, 'x');
  expect(JSON.parse(lines[0]!)).toMatchObject({ secretFile: '/run/secret', tokenId: 7, keys: 3 });
});

test('errors keep name, code and cause; odd values do not throw', () => {
  const { log, lines } = logInto({ format: 'json' });
  const error = Object.assign(new TypeError('bad', { cause: new Error('why') }), { code: 'E_BAD' });
  const ring: Record<string, unknown> = { n: 1n, f: () => 1, s: Symbol('x'), d: new Date(0), b: new Uint8Array(3), no: undefined };
  ring['self'] = ring;
  log.error({ error, ring, ['__proto__']: 1 }, 'x');
  const said = JSON.parse(lines[0]!) as Record<string, Record<string, unknown>>;
  expect(said['error']).toMatchObject({ type: 'TypeError', message: 'bad', code: 'E_BAD', cause: { message: 'why' } });
  expect(said['ring']).toMatchObject({ n: '1', f: '[function]', s: '[symbol]', d: '1970-01-01T00:00:00.000Z', b: '[3 bytes]' });
});

test('a field called __proto__ is a field like any other [threat 59]', () => {
  const { log, lines } = logInto({ format: 'json' });
  log.info(JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 2, "toString": 3}') as Record<string, unknown>, 'x');
  expect(lines[0]).toContain('"__proto__":{"polluted":1},"constructor":2,"toString":3');
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});
