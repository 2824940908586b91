import { renameSync, rmSync } from 'node:fs';

/** Puts folder `fresh` in the place of `to`. Who does that at the same time is either before or after, and nobody ever finds half of one. */
export function swap(fresh, to) {
  const old = `${fresh}.old.tmp`;
  for (;;) {
    try {
      renameSync(to, old);
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
    try {
      renameSync(fresh, to);
      break;
    } catch (error) {
      // Somebody else's has come there in between: it is as good as old.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST' && error.code !== 'EPERM') throw error;
      rmSync(old, { recursive: true, force: true });
    }
  }
  rmSync(old, { recursive: true, force: true });
}
