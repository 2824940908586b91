import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../src/cli/run.ts';
import { fakeWorld } from '../config/world.ts';
import { fileTo, startGatewayOf } from '../kit/gateway.ts';
import { kit } from '../kit/kit.ts';
import { Visitor } from '../kit/visitor.ts';

const tools = kit();

test('windlass console prints a link of the gateway of this machine, which lets a browser in, and opens it when told to', async () => {
  const stateDir = tools.folder();
  const gateway = await startGatewayOf(tools, fileTo(9), { stateDir });
  const { port } = gateway.adminAddress!;
  const path = join(stateDir, `admin-token-${port}`);
  const opened: string[][] = [];
  const world = {
    ...fakeWorld({ WINDLASS_ADMIN_ADDR: `:${port}` }, { [path]: readFileSync(path, 'utf8') }),
    runProgram: (file: string, args: readonly string[]) => {
      opened.push([file, ...args]);
      return Promise.resolve(file !== 'xdg-open');
    },
  };
  expect(await run(['console', '--state-dir', stateDir, '--open'], world)).toBe(0);
  const url = world.out().trim();
  expect(url).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${port}/#ticket=[\\w-]{43}$`));
  // The first that works, and only once.
  expect(opened).toEqual([
    ['xdg-open', url],
    ['gio', 'open', url],
  ]);
  expect(await new Visitor(port).enter('/session/ticket', { ticket: url.split('=')[1] })).toBe(200);

  const poor = { ...fakeWorld({ WINDLASS_ADMIN_ADDR: `:${port}` }), runProgram: () => Promise.resolve(false) };
  expect(await run(['console', '--state-dir', stateDir], poor)).toBe(1);
  expect(poor.err()).toContain('wants to know who asks');
});
