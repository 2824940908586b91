import { defineConfig } from 'vitest/config';

/** A long mixed run: `npm run mixed`; MIXED_REQUESTS and MIXED_SEED choose another. */
export default defineConfig({
  test: {
    include: ['test/soak/mixed.test.ts'],
    pool: 'forks',
    env: { MIXED_REQUESTS: process.env['MIXED_REQUESTS'] ?? '100000' },
    silent: false,
  },
});
