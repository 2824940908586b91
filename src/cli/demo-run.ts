import { accessSync, constants, mkdirSync } from 'node:fs';
import { demoTable } from '../config/demo.ts';
import { createLog } from '../observe/log.ts';
import type { Invocation } from './command.ts';
import { type Demo, startDemo } from './demo.ts';
import { settingsOf } from './settings.ts';
import { defaultStateDir } from './state-dir.ts';
import type { World } from './world.ts';

export { demoTable as table };

/** Ctrl-C reaches us from the terminal and once more through npm: signals this close together are one, ms. */
const SAME_SIGNAL_MS = 500;

export async function run(invocation: Invocation): Promise<number> {
  const { world } = invocation;
  const { values, sources } = await settingsOf(demoTable, invocation);
  const given = sources.get('port')!.level !== 'default';
  const log = createLog({ level: 'warn', stream: world.stderr });
  let demo: Demo;
  try {
    demo = await startDemo(values.port, !given, log, tokenDirOf(world));
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    world.stderr.write(
      `windlass: ${taken ? `port ${values.port} is taken; give another with --port, or --port 0 for any` : (error as Error).message}\n`,
    );
    return 1;
  }
  world.stdout.write(welcome(demo, values.port, world));
  const ended = new Promise<void>((resolve) => {
    let first = 0;
    const end = (): void => {
      const now = performance.now();
      if (first === 0) {
        first = now;
        world.stdout.write('\nwindlass demo: ending\n');
        resolve();
      } else if (now - first > SAME_SIGNAL_MS) world.exit(1);
    };
    world.onSignal('SIGINT', end);
    world.onSignal('SIGTERM', end);
  });
  await ended;
  await demo.close();
  return 0;
}

/** Where commands look for the token, so that they find the demo as they would find any gateway; where that cannot be, it lies with the demo. */
function tokenDirOf({ env }: World): string | undefined {
  const folder = defaultStateDir(env);
  if (folder === null) return undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK);
    return folder;
  } catch {
    return undefined;
  }
}

function welcome({ url, port, adminUrl, consoleUrl, file, tokenFile, slots, isFound }: Demo, wanted: number, { env }: World): string {
  const chat = `{"model": "demo", "stream": true, "messages": [{"role": "user", "content": "hello"}]}`;
  // In a clone nothing is on the path.
  const windlass = env['npm_lifecycle_event'] === 'start' ? 'npx windlass' : 'windlass';
  const where = isFound ? '' : ` --admin-url ${adminUrl} --admin-token-file ${tokenFile}`;
  return `${port === wanted || wanted === 0 ? '' : `Port ${wanted} is taken, so the gateway listens on ${port}.\n`}
A gateway on ${url}, an agent with ${slots} slots, and a service behind it that nobody else can reach. Try:

curl ${url}/v1/models

curl -N ${url}/v1/stream

curl -N ${url}/v1/chat/completions -H 'Content-Type: application/json' -d '${chat}'

See it all, and change it, in a browser (${adminUrl}/; this link lets one browser in, once):

${consoleUrl}

Or in another terminal; the first makes another link:

${windlass} console${where}
${windlass} top${where}
${windlass} tail${where}

The same for scripts is at ${adminUrl}/api/v1, with the token in ${tokenFile}
The gateway runs from ${file}
Ctrl-C ends it.
`;
}
