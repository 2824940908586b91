import { expect, test } from 'vitest';
import { configReference } from './reference.ts';

test('docs/reference/config.md says what the tables say (npx vitest run src/config/reference.test.ts -u writes it anew)', async () => {
  await expect(configReference()).toMatchFileSnapshot('../../docs/reference/config.md');
});
