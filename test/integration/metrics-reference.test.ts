import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseHealthCheck } from '../../src/schema/health-check.ts';
import type { MetricDescription, Registry } from '../../src/observe/metrics.ts';
import { clientKeyForm } from '../../src/plugins/client-keys/client-key.ts';
import { FileRecords } from '../../src/store/file-records.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, SECRET } from '../kit/kit.ts';

const tools = kit();
const ONE = { certFile: fixture('one.pem'), keyFile: fixture('one.key') };

function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
}

/** Every program that has metrics, with all of its parts. */
async function programs(): Promise<Map<string, Registry>> {
  const { startOrigin, startHubWith, startDirect, startAgentFor, folder } = tools;
  const origin = await startOrigin();
  const store = join(folder(), 'keys.json');
  await new FileRecords(store, clientKeyForm).change(() => {});
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["all"]
[locations.all]
upstream = "gpu"
plugins = ["kept", "few", "keys", "models"]
[upstreams.gpu]
agents = "*"
[plugins.kept]
category = "cache"
[plugins.few]
category = "limit"
type = "rate"
max = 100
interval = "1m"
tag = "ip"
[plugins.keys]
category = "client_keys"
store = "${store}"
[plugins.models]
category = "model_router"
default = "gpu"
`,
  );
  const hub = await startHubWith();
  const safe = await startHubWith({ tls: ONE });
  const proxy = await startDirect({ to: origin });
  const healthCheck = parseHealthCheck('http://model/health');
  const agent = await startAgentFor(hub, origin, { healthCheck, shown: ONE });
  return new Map([
    ['gateway', gateway.metrics],
    ['hub', hub.metrics],
    ['hub with TLS', safe.metrics],
    ['proxy', proxy.metrics],
    ['agent', agent.metrics],
  ]);
}

interface Row extends MetricDescription {
  readonly where: string[];
}

/** What each program says of its metrics, those of the same name and labels in one row. */
function rowsOf(registries: ReadonlyMap<string, Registry>): Row[] {
  const rows = new Map<string, Row>();
  for (const [program, registry] of registries) {
    for (const metric of registry.describe()) {
      const key = `${metric.name}{${metric.labels.join()}}`;
      const row = rows.get(key);
      if (row === undefined) rows.set(key, { ...metric, where: [program] });
      else row.where.push(program);
    }
  }
  return [...rows.values()].toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.labels.length - b.labels.length));
}

function page(rows: readonly Row[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const lines = rows.map(({ name, labels, type, where, help }) => {
    const inBraces = labels.length === 0 ? '' : `{${labels.join(',')}}`;
    const places =
      where.length >= 4 && where.includes('agent') ? 'all' : where.filter((one) => one !== 'hub with TLS' || !where.includes('hub')).join(', ');
    return `| \`${name}${inBraces}\` | ${type} | ${places} | ${cell(help)} |`;
  });
  return `# Metrics

Everything at \`/metrics\`, as the programs themselves say it. How to use it: [monitoring](../monitoring.md). Times are seconds, sizes bytes; a histogram \`x\` has \`x_bucket\`, \`x_sum\` and \`x_count\`.

| metric | type | where | what |
|---|---|---|---|
${lines.join('\n')}
`;
}

test('docs/reference/metrics.md says what the programs export (npx vitest run test/integration/metrics-reference.test.ts -u writes it anew)', async () => {
  await expect(page(rowsOf(await programs()))).toMatchFileSnapshot('../../docs/reference/metrics.md');
});

test('names say what is in them: ours, counters end with _total, and times and sizes have base units', async () => {
  for (const row of rowsOf(await programs())) {
    const { name, type, help } = row;
    expect(name).toMatch(/^windlass_[a-z0-9]+(_[a-z0-9]+)*$/);
    expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
    expect(name).not.toMatch(/_(ms|millis|kb|mb|percent)(_|$)/);
    expect([name, help.endsWith('.') || help.endsWith('?')]).toEqual([name, true]);
  }
});
