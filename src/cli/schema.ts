import type { Invocation } from './command.ts';

/** `schema`: the JSON Schema of a gateway file. */
export async function run({ world }: Invocation): Promise<number> {
  const { jsonSchema } = await import('../config/json-schema.ts');
  world.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
  return 0;
}
