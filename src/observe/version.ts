import { readFileSync } from 'node:fs';

/** Version of the package that this file belongs to (src/ and dist/ lie equally deep). */
export const VERSION: string = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
