import { consoleTable } from '../config/admin-commands.ts';
import { plainLine } from '../config/plain-line.ts';
import { adminClientOf } from './admin-client.ts';
import type { Invocation } from './command.ts';
import { printJson } from './page.ts';
import type { World } from './world.ts';

/** `console`: a link that lets one browser in. */
export async function run(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client } = await adminClientOf(consoleTable, invocation);
  let url: string;
  try {
    ({ url } = await client.send<{ readonly url: string }>('POST', '/session/tickets'));
  } finally {
    client.close();
  }
  if (args.switches.has('json')) printJson(world, { url });
  else world.stdout.write(`${plainLine(url)}\n`);
  if (!args.switches.has('open') || (await openBrowser(url, world))) return 0;
  world.stderr.write('windlass: no browser could be opened; open the link yourself\n');
  return 1;
}

/** Only what is a link of ours is given to another program. */
async function openBrowser(url: string, world: World): Promise<boolean> {
  if (!/^https?:\/\/[^\s"'&|<>^%]+$/.test(url)) return false;
  for (const [file, ...args] of OPENERS[process.platform] ?? OPENERS['linux']!) if (await world.runProgram(file!, [...args, url])) return true;
  return false;
}

const OPENERS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  darwin: [['open']],
  win32: [['rundll32', 'url.dll,FileProtocolHandler']],
  linux: [['xdg-open'], ['gio', 'open'], ['wslview']],
};
