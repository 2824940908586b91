import { flagName, type Setting } from '../schema/setting.ts';

/** The spellings worth showing, with their dashes; slime's camelCase works too, but there is one way to teach. */
export function flagsOf(name: string, setting: Setting<unknown>): readonly string[] {
  return [name, ...(setting.aliases ?? []).filter((alias) => !/[A-Z]/.test(alias))].map((one) => `--${flagName(one)}`);
}
