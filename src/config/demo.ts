import { port } from '../schema/kind.ts';
import { setting, type Values } from '../schema/setting.ts';
import type { DemoSettings } from './settings.ts';

/** Settings of `demo`; it has no section, because nobody runs it for long. */
export const demoTable = {
  port: setting({ kind: port(), group: 'To start', help: 'port of the gateway', fallback: 8080, inFile: false }),
} as const;

export function demoSettings(values: Values<typeof demoTable>): DemoSettings {
  return { port: values.port };
}
