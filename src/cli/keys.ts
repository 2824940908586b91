import { keysAddTable, keysListTable, keysRevokeTable } from '../config/keys.ts';
import { type ClientKey, clientKeyForm, newKey } from '../plugins/client-keys/client-key.ts';
import { formatDuration } from '../schema/duration.ts';
import { FileRecords } from '../store/file-records.ts';
import { StoreError } from '../store/records.ts';
import type { Invocation } from './command.ts';
import { settingsOf } from './settings.ts';
import { UsageError } from './usage-error.ts';

/** Keys that are kept. A file is read in whole, also by the gateway. */
const KEYS_MAX = 20_000;

export async function add(invocation: Invocation): Promise<number> {
  const { values } = await settingsOf(keysAddTable, invocation);
  const { args, world } = invocation;
  const made = newKey();
  const now = Date.now();
  const record: ClientKey = {
    name: values.name,
    hash: made.hash,
    createdMs: now,
    expiresMs: values.expires === 0 ? null : now + values.expires,
    revokedMs: null,
    rate: values.rate,
    inflight: values.inflight,
    weight: values.weight,
    class: values.class,
    waiting: values.maxWaiting,
  };
  await mending('keys add', () =>
    new FileRecords(values.store, clientKeyForm).change((keys) => {
      if (keys.size >= KEYS_MAX) throw new StoreError(`${values.store} holds ${KEYS_MAX} keys already; use another file, or take old keys out of it`);
      keys.set(made.id, record);
    }),
  );
  if (args.switches.has('json')) {
    world.stdout.write(`${JSON.stringify({ key: made.key, ...shown(made.id, record, now) })}\n`);
    return 0;
  }
  const until = record.expiresMs === null ? 'until it is revoked' : `until ${new Date(record.expiresMs).toISOString()}`;
  world.stderr.write(
    `client key for ${record.name} (id ${made.id})\n  works   ${until}\n  limits  ${limitsOf(record)}\n  note    it is shown this once, and kept only as a digest\n`,
  );
  // For scripts: the key alone on the last line of standard output.
  world.stdout.write(`${made.key}\n`);
  return 0;
}

export async function list(invocation: Invocation): Promise<number> {
  const { values } = await settingsOf(keysListTable, invocation);
  const { args, world } = invocation;
  const keys = await mending('keys list', () => new FileRecords(values.store, clientKeyForm).all());
  const now = Date.now();
  if (args.switches.has('json')) {
    world.stdout.write(`${JSON.stringify([...keys].map(([id, record]) => shown(id, record, now)))}\n`);
    return 0;
  }
  if (keys.size === 0) world.stderr.write('no keys\n');
  for (const [id, record] of keys) world.stdout.write(`${id}  ${stateOf(record, now).padEnd(7)}  ${record.name}  (${limitsOf(record)})\n`);
  return 0;
}

export async function revoke(invocation: Invocation): Promise<number> {
  const { values } = await settingsOf(keysRevokeTable, invocation);
  const { args, world } = invocation;
  const now = Date.now();
  const file = new FileRecords(values.store, clientKeyForm);
  await mending('keys revoke', () => file.all());
  const record = await mending('keys revoke', () =>
    file.change((keys) => {
      const there = keys.get(values.id);
      if (there === undefined) return null;
      const revoked = { ...there, revokedMs: there.revokedMs ?? now };
      keys.set(values.id, revoked);
      return revoked;
    }),
  );
  if (record === null) throw new UsageError(`keys revoke: there is no key ${values.id} in ${values.store}; windlass keys list shows those there are`);
  if (args.switches.has('json')) world.stdout.write(`${JSON.stringify(shown(values.id, record, now))}\n`);
  else world.stderr.write(`the key of ${record.name} (id ${values.id}) works no more\n`);
  return 0;
}

/** What is wrong with a store is for its user to mend. */
async function mending<T>(command: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StoreError) throw new UsageError(`${command}: ${error.message}`);
    throw error;
  }
}

function stateOf({ expiresMs, revokedMs }: ClientKey, nowMs: number): string {
  if (revokedMs !== null) return 'revoked';
  return expiresMs !== null && expiresMs <= nowMs ? 'expired' : 'valid';
}

function limitsOf({ rate, inflight, weight, class: rank, waiting }: ClientKey): string {
  const limits = [
    ...(rate === null ? [] : [`${rate.max} per ${formatDuration(rate.intervalMs)}`]),
    ...(inflight === null ? [] : [`${inflight} at once`]),
    ...(waiting === null ? [] : [`${waiting} waiting`]),
    ...(weight === 1 ? [] : [`weight ${weight}`]),
    ...(rank === null ? [] : [`class ${rank}`]),
  ];
  return limits.join(', ') || 'no limits';
}

/** All but the digest, which is nobody's business. */
function shown(id: string, record: ClientKey, nowMs: number): object {
  const { hash: _, ...rest } = clientKeyForm.write(record) as Record<string, unknown>;
  return { id, state: stateOf(record, nowMs), ...rest };
}
