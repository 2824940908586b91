import type { AgentInfo, Page as PageOf, RegisteredAgent } from '../admin/model.ts';
import { agentRegisterTable, agentRevokeTable, agentsListTable, agentTable } from '../config/admin-commands.ts';
import { plainLine } from '../config/plain-line.ts';
import { type AdminClient, adminClientOf } from './admin-client.ts';
import { Cannot } from './cannot.ts';
import type { Invocation } from './command.ts';
import { ageText, bytesText, millisText, numberText } from './figures.ts';
import { Page, printJson } from './page.ts';
import type { Style } from './style.ts';
import type { Column } from './table.ts';

/** `agents`: which there are. */
export async function list(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(agentsListTable, invocation);
  const { query, state, limit } = values;
  const search = new URLSearchParams({ limit: String(limit), ...(query === '' ? {} : { query }), ...(state === 'any' ? {} : { state }) });
  const { total, items } = await asking(client, () => client.get<PageOf<AgentInfo>>(`/agents?${search.toString()}`));
  if (args.switches.has('json')) {
    printJson(world, { total, items });
    return 0;
  }
  const page = new Page(world);
  const none = query === '' && state === 'any' ? 'no agents; windlass agents register makes a token for one' : 'no such agents';
  page.table(agentColumns(page.style, Date.now()), items, none);
  if (total > items.length) page.line(page.style.dim(`${total - items.length} more; --limit ${total} shows all`));
  return 0;
}

/** `agents show`: all that is known of one. */
export async function show(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(agentTable, invocation);
  const agent = await asking(client, () => find(client, values.agent));
  if (args.switches.has('json')) {
    printJson(world, agent);
    return 0;
  }
  const page = new Page(world);
  const { style } = page;
  page.line(`${style.bold(plainLine(agent.name))}  ${stateOf(style)(agent.state, agent)}`);
  for (const [name, text] of factsOf(agent, Date.now())) page.line(`  ${style.dim(name.padEnd(12))}${plainLine(text)}`);
  if (agent.sessions.length > 0) page.line('');
  const now = Date.now();
  page.table<AgentInfo['sessions'][number]>(
    [
      { title: 'FROM', text: ({ address }) => address },
      { title: 'BUSY', text: ({ inFlight, slots }) => `${inFlight}/${slots}`, side: 'right' },
      { title: 'ROUND TRIP', text: ({ rttMs }) => millisText(rttMs), side: 'right' },
      { title: 'IN', text: ({ bytesIn }) => bytesText(bytesIn), side: 'right' },
      { title: 'OUT', text: ({ bytesOut }) => bytesText(bytesOut), side: 'right' },
      { title: 'SINCE', text: ({ joinedAtMs }) => ageText(now - joinedAtMs), side: 'right' },
    ],
    agent.sessions,
    'no session: it is away',
  );
  return 0;
}

/** `agents drain`: it gets nothing new. */
export function drain(invocation: Invocation): Promise<number> {
  return change(invocation, 'drain', 'gets no new requests; what runs goes on. windlass agents resume takes that back');
}

/** `agents resume`: it gets requests again. */
export function resume(invocation: Invocation): Promise<number> {
  return change(invocation, 'resume', 'gets requests again');
}

/** `agents revoke`: out, at once and for good. */
export async function revoke(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(agentRevokeTable, invocation);
  const agent = await asking(client, async () => {
    const found = await find(client, values.agent);
    await client.send('POST', `/agents/${encodeURIComponent(found.id)}/revoke`, { reason: values.reason });
    return found;
  });
  if (args.switches.has('json')) printJson(world, { id: agent.id, name: agent.name, revoked: true });
  else world.stderr.write(`${plainLine(agent.name)} (${plainLine(agent.id)}) is out: its sessions are cut, and its token works no more\n`);
  return 0;
}

/** `agents register`: a token for a new one. */
export async function register(invocation: Invocation): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(agentRegisterTable, invocation);
  const { name, age, scopes, scopePaths, label } = values;
  const body = {
    name,
    ...(scopes.length === 0 ? {} : { scopes }),
    ...(scopePaths.length === 0 ? {} : { scopePaths }),
    ...(label.size === 0 ? {} : { labels: Object.fromEntries(label) }),
    ...(age === 0 ? {} : { ttlMs: age }),
  };
  const made = await asking(client, () => client.send<RegisteredAgent>('POST', '/agents', body));
  if (args.switches.has('json')) {
    printJson(world, made);
    return 0;
  }
  world.stderr.write(
    `agent token for ${plainLine(name)} (id ${plainLine(made.id)}), shown this once\n\n${plainLine(withoutToken(made, world.stdout.isTTY === true))}\n\n`,
  );
  // As with hub register: the token alone on the last line of standard output.
  world.stdout.write(`${plainLine(made.token)}\n`);
  return 0;
}

/** What goes to standard error is kept in logs: where nobody looks, the token is in standard output alone. */
function withoutToken({ command, token }: RegisteredAgent, isWatched: boolean): string {
  return isWatched ? command : command.replaceAll(token, '…');
}

/** How agents are shown, here and by others. */
export function agentColumns(style: Style, nowMs: number): readonly Column<AgentInfo>[] {
  return [
    { title: 'NAME', text: ({ name }) => name, max: 32 },
    { title: 'ID', text: ({ id }) => id, max: 24, spare: 2 },
    { title: 'STATE', text: ({ state }) => state, paint: (cell, { state }) => stateOf(style)(cell, { state }) },
    { title: 'BUSY', text: ({ inFlight, slots }) => `${inFlight}/${slots}`, side: 'right' },
    { title: 'SERVED', text: ({ served }) => numberText(served), side: 'right', spare: 3 },
    {
      title: 'FAILED',
      text: ({ failed }) => numberText(failed),
      paint: (cell, { failed }) => (failed > 0 ? style.yellow(cell) : cell),
      side: 'right',
      spare: 1,
    },
    { title: 'SCOPES', text: ({ scopes }) => scopes.join(',') || '-', max: 24, spare: 6 },
    { title: 'FROM', text: ({ sessions }) => sessions[0]?.address ?? '-', max: 40, spare: 5 },
    { title: 'SINCE', text: ({ joinedAtMs }) => (joinedAtMs === 0 ? '-' : ageText(nowMs - joinedAtMs)), side: 'right', spare: 4 },
  ];
}

function stateOf(style: Style): (text: string, agent: Pick<AgentInfo, 'state'>) => string {
  return (text, { state }) => (state === 'serving' ? style.green(text) : state === 'draining' ? style.yellow(text) : style.dim(text));
}

function factsOf(agent: AgentInfo, nowMs: number): readonly (readonly [string, string])[] {
  const { id, wire, slots, free, inFlight, served, failed, scopes, labels, version, expiresAtMs, certificate, hardware, remark } = agent;
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return [
    ['id', id],
    ['slots', `${slots}, ${free} free, ${inFlight} in flight`],
    ['requests', `${served} served, ${failed} failed`],
    ['wire', `${wire}${version === '' ? '' : `, version ${version}`}`],
    ['scopes', scopes.join(', ') || 'none'],
    ['labels', pairs.join(', ') || 'none'],
    ['token ends', expiresAtMs === 0 ? 'never' : `${new Date(expiresAtMs).toISOString()} (in ${ageText(expiresAtMs - nowMs)})`],
    ...(certificate === null ? [] : [['certificate', `${certificate.subject} ${certificate.fingerprint}`] as const]),
    ...(hardware === null ? [] : [['machine', JSON.stringify(hardware)] as const]),
    ...(remark === '' ? [] : [['remark', remark] as const]),
  ];
}

async function change(invocation: Invocation, what: 'drain' | 'resume', says: string): Promise<number> {
  const { args, world } = invocation;
  const { client, values } = await adminClientOf(agentTable, invocation);
  const agent = await asking(client, async () => {
    const found = await find(client, values.agent);
    await client.send('POST', `/agents/${encodeURIComponent(found.id)}/${what}`);
    return found;
  });
  if (args.switches.has('json')) printJson(world, { id: agent.id, name: agent.name, [what === 'drain' ? 'draining' : 'serving']: true });
  else world.stderr.write(`${plainLine(agent.name)} (${plainLine(agent.id)}) ${says}\n`);
  return 0;
}

/** The agent of this id, or the only one of this name. */
async function find(client: AdminClient, given: string): Promise<AgentInfo> {
  const search = new URLSearchParams({ query: given, limit: String(FOUND_MAX) });
  const { items, total } = await client.get<PageOf<AgentInfo>>(`/agents?${search.toString()}`);
  const byId = items.find(({ id }) => id === given);
  if (byId !== undefined) return byId;
  const named = items.filter(({ name }) => name === given);
  if (named.length === 1) return named[0]!;
  if (named.length > 1)
    throw new Cannot(
      `${named.length} agents are called ${plainLine(given)}; give the id of one: ${named
        .map(({ id }) => plainLine(id))
        .slice(0, SHOWN_MAX)
        .join(', ')}`,
    );
  if (total > items.length) throw new Cannot(`${plainLine(given)} is part of too many names; give an id`);
  throw new Cannot(`no agent has the id or name ${plainLine(given)}; windlass agents shows those there are`);
}

const FOUND_MAX = 1_000;
const SHOWN_MAX = 10;

/** Asks, and lets go of the connection. */
async function asking<T>(client: AdminClient, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } finally {
    client.close();
  }
}
