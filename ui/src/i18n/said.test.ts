import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { reasonOf } from '../../../src/upstream/health/reason.ts';
import { language } from './language.ts';
import { said } from './said.ts';

afterEach(() => {
  language.value = 'en';
});

test('what is wrong with an endpoint is said in Chinese, whatever it is', () => {
  const codes = [...readFileSync(new URL('../../../src/upstream/health/reason.ts', import.meta.url), 'utf8').matchAll(/^ {2}\['(\w+)', /gm)].map(
    ([, code]) => code!,
  );
  expect(codes.length).toBeGreaterThan(15);
  language.value = 'zh';
  const told = codes.map((code) => said(reasonOf(Object.assign(new Error('x'), { code }))));
  expect(told.filter((text) => !/[\u4e00-\u9fff]/.test(text))).toEqual([]);
});

test('figures and names stay what they are, what is not known stays English, and English pages say what was said', () => {
  expect(said('1 of 2 usable')).toBe('1 of 2 usable');
  language.value = 'zh';
  expect(said('1 of 2 usable')).toBe('可用 1 / 2');
  expect(said('12 wait')).toBe('12 个等待');
  expect(said('0 of 7 slots free')).toBe('空闲槽位 0 / 7');
  expect(said('path /a {2} does not begin with /b$1')).toBe('路径 /a {2} 不以 /b$1 开头');
  expect(said('host (none) is not a.example or b.example')).toBe('主机 (none) 不是 a.example or b.example');
  expect(said('something else')).toBe('something else');
});
