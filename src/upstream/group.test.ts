import { expect, test } from 'vitest';
import { groupOf } from '../../test/kit/upstream.ts';
import { requestHead } from '../../test/kit/tunnel.ts';

const HEAD = requestHead('GET / HTTP/1.1\r\nHost: a\r\n\r\n');

test('round robin gives everybody exactly his share, the turns of the heavy one spread', () => {
  const { group } = groupOf({ addrs: ['10.0.0.1:80 5', '10.0.0.2:80', '10.0.0.3:80'] });
  const picked = Array.from({ length: 7 }, () => group.pick(HEAD)!.endpoint.id.slice(7, 8)).join('');
  expect(picked).toBe('1121311');
});
