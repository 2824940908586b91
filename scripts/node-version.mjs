import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Is this Node.js new enough for package.json's `engines`? Says so when it is not. */
export function checkNode(root) {
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node.replace('>=', '');
  const need = wanted.split('.').map(Number);
  const have = process.versions.node.split('.').map(Number);
  for (let i = 0; i < need.length; i++) {
    if (have[i] > need[i]) return true;
    if (have[i] < need[i]) {
      console.error(`windlass: needs Node.js ${wanted} or later; this is ${process.versions.node}`);
      return false;
    }
  }
  return true;
}
