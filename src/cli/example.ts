import type { Invocation } from './command.ts';

/** `example`: a gateway file to begin with. */
export async function run({ args, world }: Invocation): Promise<number> {
  const { fullExample, smallExample } = await import('../config/example.ts');
  world.stdout.write(args.switches.has('full') ? fullExample() : smallExample);
  return 0;
}
