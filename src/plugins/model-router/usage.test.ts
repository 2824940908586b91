import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TransformOut } from '../../proxy/plugin.ts';
import { TAIL_BYTES } from './limits.ts';
import { type Usage, usageIn, UsageWatcher } from './usage.ts';

test.each<[string, Usage | null]>([
  ['{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}', { input: 9, output: 12 }],
  ['{"usage" : { "input_tokens": 3, "output_tokens": 4, "details": {"cached": 1} } }', { input: 3, output: 4 }],
  ['data: {"usage":null}\n\ndata: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n', { input: 1, output: 2 }],
  ['data: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: {"usage":null}\n\n', { input: 1, output: 2 }],
  ['data: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: {"usage":{"prompt_tokens":1,"compl', { input: 1, output: 2 }],
  ['{"usage":{"prompt_tokens":7}}', { input: 7, output: null }],
  ['{"content":"\\"usage\\":{\\"prompt_tokens\\":666}"}', null],
  ['{"usage":{"note":"}","prompt_tokens":5}}', { input: 5, output: null }],
  ['{"usage":{"prompt_tokens":-1,"completion_tokens":1e300}}', null],
  ['{"usage":{"prompt_tokens":"9"}}', null],
  ['{"usage":{"prompt_tokens":1.5}}', null],
  [`{"usage":{"x":"${'y'.repeat(9000)}","prompt_tokens":1}}`, null],
  ['"usage"', null],
  ['', null],
])('in %s the usage is %j', (text, usage) => {
  expect(usageIn(text)).toEqual(usage);
});

/** Passes these chunks through a watcher. */
function pass(chunks: readonly Buffer[], ends = true): { out: Buffer; told: Usage[] } {
  const told: Usage[] = [];
  const written: Buffer[] = [];
  const watcher = new UsageWatcher((usage) => told.push(usage));
  const out = { write: (chunk: Uint8Array) => written.push(Buffer.from(chunk)) > 0, end: () => {}, full: false } as unknown as TransformOut;
  for (const chunk of chunks) watcher.write(chunk, out);
  if (ends) watcher.end(out);
  watcher.close();
  watcher.close();
  return { out: Buffer.concat(written), told };
}

test('whatever pieces an answer comes in, it passes unchanged, and its usage is told once', () => {
  const usage = '"usage":{"prompt_tokens":11,"completion_tokens":22}}';
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3 * TAIL_BYTES }), { maxLength: 8 }), fc.integer({ min: 1, max: 40 }), (sizes, cut) => {
      const body = Buffer.concat([...sizes.map((size) => Buffer.alloc(size, 'x')), Buffer.from(usage)]);
      const chunks: Buffer[] = [];
      let at = 0;
      for (const size of [...sizes, cut]) chunks.push(body.subarray(at, (at += size)));
      chunks.push(body.subarray(at));
      const { out, told } = pass(chunks);
      expect(out.equals(body)).toBe(true);
      expect(told).toEqual([{ input: 11, output: 22 }]);
    }),
  );
});

test('an answer that is cut tells what it had said by then, and one without usage tells nothing', () => {
  expect(pass([Buffer.from('data: {"usage":{"prompt_tokens":1,"completion_tokens":5}}\n\ndata: {"us')], false).told).toEqual([
    { input: 1, output: 5 },
  ]);
  expect(pass([Buffer.from('data: {}')], false).told).toEqual([]);
  expect(pass([]).told).toEqual([]);
});
