import { expect, test } from 'vitest';
import { cliReference } from './reference.ts';

test('docs/reference/cli.md says what the tables say (npx vitest run src/cli/reference.test.ts -u writes it anew)', async () => {
  await expect(await cliReference()).toMatchFileSnapshot('../../docs/reference/cli.md');
});
