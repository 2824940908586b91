import type { QueueInfo } from '../admin/model.ts';
import { queueCancelTable, queueTable } from '../config/admin-commands.ts';
import { plainLine } from '../config/plain-line.ts';
import { adminClientOf } from './admin-client.ts';
import type { Invocation } from './command.ts';
import { millisText } from './figures.ts';
import { Page, printJson } from './page.ts';
import type { Column } from './table.ts';

/** `queue`: who waits for a slot. */
export async function show(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(queueTable, invocation);
  const queue = await client.get<QueueInfo>(`/queue?limit=${values.limit}`).finally(() => client.close());
  if (args.switches.has('json')) {
    printJson(world, queue);
    return 0;
  }
  const page = new Page(world);
  const { size, outside, oldestAgeMs, serviceMs, waiting } = queue;
  if (size + outside === 0) {
    page.line('nobody waits');
    return 0;
  }
  const facts = [
    `${size} wait${size === 1 ? 's' : ''} for a slot`,
    ...(outside === 0 ? [] : [`${outside} to come inside`]),
    `the oldest for ${millisText(oldestAgeMs)}`,
    ...(serviceMs === 0 ? [] : [`requests take ${millisText(serviceMs)} of late`]),
  ];
  page.line(page.style.bold(facts.join(', ')));
  page.table(waitingColumns, waiting, '');
  if (size > waiting.length && waiting.length > 0) page.line(page.style.dim(`${size - waiting.length} more; --limit ${size} shows all`));
  return 0;
}

/** `queue cancel`: one waits no more. */
export async function cancel(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(queueCancelTable, invocation);
  await client.send('DELETE', `/queue/${encodeURIComponent(values.id)}`).finally(() => client.close());
  if (args.switches.has('json')) printJson(world, { id: values.id, cancelled: true });
  else world.stderr.write(`the request ${plainLine(values.id)} waits no more: it was answered with 503\n`);
  return 0;
}

/** How waiting requests are shown, here and by others. */
export const waitingColumns: readonly Column<QueueInfo['waiting'][number]>[] = [
  { title: '#', text: ({ position }) => String(position), side: 'right' },
  { title: 'ID', text: ({ id }) => id, max: 24, spare: 2 },
  { title: 'AGE', text: ({ ageMs }) => millisText(ageMs), side: 'right' },
  { title: 'EXPECTED', text: ({ estimatedWaitMs }) => millisText(estimatedWaitMs), side: 'right', spare: 1 },
  { title: 'CLASS', text: (one) => String(one.class), side: 'right', spare: 5 },
  { title: 'UPSTREAM', text: ({ upstream }) => upstream || '-', max: 24, spare: 3 },
  { title: 'KEY', text: ({ key }) => key || '-', max: 24, spare: 4 },
  { title: 'SCOPE', text: ({ scope }) => scope || '-', max: 20, spare: 6 },
  { title: 'PATH', text: ({ path }) => path || '-', max: 60 },
];
