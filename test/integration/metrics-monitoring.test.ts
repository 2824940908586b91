import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type MetricsPage, scrape } from '../kit/exposition.ts';
import { startGatewayOf } from '../kit/gateway.ts';
import { kit, metricBecomes, SECRET } from '../kit/kit.ts';
import { labelsIn, readQuery, selectorsIn } from '../kit/promql.ts';
import { startHolding } from '../kit/stage.ts';

// The files of examples/monitoring ask a real gateway for what they show: a name that nobody exports shows nothing, and nobody would notice.

const tools = kit('file');
const read = (name: string): string => readFileSync(new URL(`../../examples/monitoring/${name}`, import.meta.url), 'utf8');

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string; readonly query: unknown }[] };
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: { readonly severity: string };
}

const dashboard = JSON.parse(read('grafana-dashboard.json')) as Dashboard;
const { groups } = parse(read('alerts.yml')) as { groups: readonly { rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const panels = dashboard.panels.filter(({ type }) => type !== 'row');

/** As Grafana fills it in. */
const filled = (expr: string): string => expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(job|instance|location)/g, '.*');

/** What the server that scrapes adds to every series. */
const TARGET = ['job', 'instance'];
/** Labels whose values are ours: one that never comes is a mistake. */
const OURS = new Set(['code', 'state', 'kind', 'direction', 'result', 'quantile', 'wire']);

let page: MetricsPage;
const labelsByName = new Map<string, Set<string>>();

beforeAll(async () => {
  page = await pageOfEverything();
  labelsByName.set('up', new Set(TARGET));
  for (const { name, labels } of page.samples) {
    const known = labelsByName.get(name) ?? new Set(TARGET);
    for (const label of labels.keys()) known.add(label);
    labelsByName.set(name, known);
  }
});

/** A gateway with an agent and an address, all of whose parts have done something. */
async function pageOfEverything(): Promise<MetricsPage> {
  const { origin: slow, arrived } = await startHolding(tools);
  const origin = await tools.startOrigin((_request, response) => {
    response.setHeader('Cache-Control', 'max-age=60');
    response.end('hello');
  });
  const gateway = await startGatewayOf(
    tools,
    `[agents]
secret = "${SECRET}"
[servers.main]
addr = "127.0.0.1:0"
accepts = ["native"]
locations = ["gpu", "all"]
[servers.safe]
addr = "127.0.0.1:0"
self_signed = true
locations = ["all"]
[locations.gpu]
path = "/gpu"
upstream = "gpu"
[locations.all]
upstream = "one"
plugins = ["kept", "few"]
[upstreams.one]
addrs = ["127.0.0.1:${origin.port}"]
[upstreams.gpu]
agents = "*"
queue_timeout = "30s"
[plugins.kept]
category = "cache"
[plugins.few]
category = "limit"
type = "rate"
max = 100
interval = "1m"
tag = "ip"
`,
    { stateDir: tools.folder() },
  );
  const get = async (path: string, method = 'GET'): Promise<void> => {
    await (await fetch(`http://127.0.0.1:${gateway.port('main')}${path}`, { method })).arrayBuffer();
  };
  const agent = await tools.startAgentFor({ port: gateway.port('main') }, slow, { slots: 1 });
  await get('/');
  // One waits while another runs; and a third waits, and its agent is lost.
  const both = [get('/gpu'), get('/gpu')];
  (await arrived(0)).response.end();
  (await arrived(1)).response.end();
  await Promise.all(both);
  const lost = [get('/gpu', 'POST'), get('/gpu', 'POST')];
  await arrived(2);
  await metricBecomes(gateway, 'windlass_upstream_queue_size{upstream="gpu"}', (value) => value === 1);
  agent.destroy();
  await metricBecomes(gateway, 'windlass_tunnel_resets_total{wire="native",code="tunnel_lost"}', (value) => value === 1);
  await metricBecomes(gateway, 'windlass_health_checks_total{result="pass"}', (value) => value > 0);
  const found = await scrape(gateway);
  // The one that still waits is let go with the gateway.
  void Promise.allSettled(lost);
  return found;
}

/** Is everything that a query asks for there? @returns labels of its result */
function judge(expr: string): ReadonlySet<string> {
  const query = readQuery(filled(expr));
  const labels = labelsIn(query, (name) => labelsByName.get(name) ?? null);
  for (const { name, matchers } of selectorsIn(query)) {
    for (const { label, op, value } of matchers) {
      if (op !== '=' || !OURS.has(label)) continue;
      const has = page.samples.some((sample) => sample.name === name && sample.labels.get(label) === value);
      if (!has) throw new Error(`no series of ${name} has ${label}="${value}"`);
    }
  }
  return labels ?? new Set();
}

test.each(panels.flatMap(({ title, targets = [] }) => targets.map((target) => [title, target] as const)))(
  'the dashboard shows what there is: %s %#',
  (_title, { expr, legendFormat }) => {
    const labels = judge(expr);
    for (const [, label] of legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g)) expect([...labels]).toContain(label);
  },
);

test('every panel of the dashboard has something to show, and a place of its own', () => {
  for (const { title, targets = [] } of panels) expect([title, targets.length > 0]).toEqual([title, true]);
  const places = (dashboard.panels as unknown as { gridPos: { x: number; y: number; w: number; h: number } }[]).map(({ gridPos }) => gridPos);
  const taken = new Set<string>();
  for (const { x, y, w, h } of places) {
    expect(x + w).toBeLessThanOrEqual(24);
    for (let i = x; i < x + w; i++)
      for (let j = y; j < y + h; j++) {
        expect(taken.has(`${i} ${j}`)).toBe(false);
        taken.add(`${i} ${j}`);
      }
  }
});

test('the variables and annotations of the dashboard are filled from what there is', () => {
  for (const { expr } of dashboard.annotations.list) judge(expr);
  const queries = dashboard.templating.list.filter(({ type }) => type === 'query').map(({ query }) => (query as { query: string }).query);
  expect(queries.length).toBe(3);
  for (const query of queries) {
    const [, expr, label] = /^label_values\((.+), (\w+)\)$/.exec(query)!;
    expect([...judge(expr!)]).toContain(label);
  }
});

test.each(rules.map((rule) => [rule.alert, rule] as const))('the alert %s asks for what there is, and says it in words', (_name, rule) => {
  const labels = judge(rule.expr);
  const { summary, description = '' } = rule.annotations;
  for (const [, label] of `${summary} ${description}`.matchAll(/\$labels\.(\w+)/g)) expect([...labels]).toContain(label);
  expect(['warning', 'critical']).toContain(rule.labels.severity);
});

test('every alert has a name of its own, and the file that Prometheus is started with names the rules', () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  const config = parse(read('prometheus.yml')) as { rule_files: string[]; scrape_configs: { job_name: string }[] };
  expect(config.rule_files).toEqual(['alerts.yml']);
  expect(config.scrape_configs.map(({ job_name }) => job_name)).toEqual(['windlass']);
});

test.each([
  ['sum(rate(windlass_requests_total[5m])', 'the query ends too early'],
  ['rate(windlass_requests_total)', 'rate takes a range, as in x[5m]'],
  ['sum by (nothing) (windlass_requests_total)', 'sum by nothing, which is not there (job, instance, code)'],
  ['windlass_no_such_thing', 'there is no metric windlass_no_such_thing'],
  ['windlass_requests_total{host="x"}', 'windlass_requests_total has no label host'],
  ['windlass_requests_total{code="6xx"}', 'no series of windlass_requests_total has code="6xx"'],
  ['histogram_quantile(0.5, sum(rate(windlass_first_byte_seconds_bucket[5m])))', 'histogram_quantile of what has no buckets (le)'],
  ['windlass_connections / windlass_requests_total', 'the sides of / never match: instance,job and code,instance,job'],
])('a query that would show nothing is told from others: %s', (expr, reason) => {
  expect(() => judge(expr)).toThrow(reason);
});
