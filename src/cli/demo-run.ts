import { demoTable } from '../config/demo.ts';
import { createLog } from '../observe/log.ts';
import type { Invocation } from './command.ts';
import { type Demo, startDemo } from './demo.ts';
import { settingsOf } from './settings.ts';

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
    demo = await startDemo(values.port, !given, log);
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    world.stderr.write(
      `windlass: ${taken ? `port ${values.port} is taken; give another with --port, or --port 0 for any` : (error as Error).message}\n`,
    );
    return 1;
  }
  world.stdout.write(welcome(demo, values.port));
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

function welcome({ url, port, adminUrl, consoleUrl, file, tokenFile, slots }: Demo, wanted: number): string {
  const chat = `{"model": "demo", "stream": true, "messages": [{"role": "user", "content": "hello"}]}`;
  return `${port === wanted || wanted === 0 ? '' : `Port ${wanted} is taken, so the gateway listens on ${port}.\n`}
A gateway on ${url}, an agent with ${slots} slots, and a service behind it that nobody else can reach. Try:

curl ${url}/v1/models

curl -N ${url}/v1/stream

curl -N ${url}/v1/chat/completions -H 'Content-Type: application/json' -d '${chat}'

See it all, and change it, in a browser (this link counts once; ${adminUrl}/ is the place):

${consoleUrl}

The same for scripts is at ${adminUrl}/api/v1, with the token in ${tokenFile}
The gateway runs from ${file}
Ctrl-C ends it.
`;
}
