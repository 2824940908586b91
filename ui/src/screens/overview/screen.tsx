import './overview.css';
import type { Overview } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { Card } from '../../design/card.tsx';
import { CopyField } from '../../design/copy.tsx';
import { Facts } from '../../design/facts.tsx';
import { Page } from '../../design/page.tsx';
import { bytes, duration, number, percent } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { info, latest, ticks } from '../../live/store.ts';
import { Attention } from './attention.tsx';
import { Charts } from './charts.tsx';
import { texts } from './texts.ts';
import { Tiles } from './tiles.tsx';
import { TopologyCard } from './topology-card.tsx';

/** What does not come with every tick is asked for this often, ms. */
const EVERY_MS = 10_000;

export default function OverviewScreen() {
  const t = texts();
  const overview = useLoad((signal) => api.get<Overview>('overview', { signal }), 'overview', {
    on: ['config', 'upstreams', 'certificates'],
    everyMs: EVERY_MS,
  });
  const isDrawn = overview.data !== undefined || overview.error !== null;
  return (
    <Page title={t.title} note={t.lastMinutes}>
      <Attention overview={overview.data} />
      {/* What is unwell stands above all else: nothing is drawn that it would push down. */}
      {isDrawn && (
        <>
          <Tiles />
          <FirstRequest />
          <TopologyCard />
          <Charts />
          <div class="overview-foot">
            <Card title={t.failures} note={t.failuresText}>
              <Failures failures={overview.data?.failures ?? []} />
            </Card>
            <Card title={t.process}>
              <Process />
            </Card>
          </div>
        </>
      )}
    </Page>
  );
}

/** Until something has come: how to make it come. */
function FirstRequest() {
  const all = ticks.value;
  const url = info.value?.listening[0]?.url;
  if (url === undefined || all.length === 0 || all.some(({ requestsPerSecond }) => requestsPerSecond > 0)) return null;
  return (
    <Card title={texts().first} note={texts().firstText}>
      <CopyField label={texts().command} text={`curl -i ${url.replace('//0.0.0.0', '//127.0.0.1').replace('//[::]', '//[::1]')}/`} />
    </Card>
  );
}

function Failures({ failures }: { failures: Overview['failures'] }) {
  const t = texts();
  if (failures.length === 0) return <p class="soft small">{t.noFailures}</p>;
  const most = Math.max(...failures.map(({ count }) => count));
  return (
    <ul class="failures">
      {failures.slice(0, 8).map(({ code, count }) => (
        <li key={code}>
          <code>{code}</code>
          <span class="failures-bar">
            <span style={{ width: `${(count / most) * 100}%` }} />
          </span>
          <span class="number">{number(count)}</span>
        </li>
      ))}
    </ul>
  );
}

function Process() {
  const t = texts();
  const tick = latest.value;
  const server = info.value;
  const shown = (value: string | undefined): string => value ?? '–';
  return (
    <Facts
      items={[
        [t.cpu, shown(tick === null ? undefined : percent(tick.cpu))],
        [t.memory, shown(tick === null ? undefined : bytes(tick.memory))],
        [t.loopDelay, shown(tick === null ? undefined : duration(tick.loopDelayMs))],
        [t.connections, shown(tick === null ? undefined : number(tick.connections))],
        [t.version, shown(server === null ? undefined : `${server.version} · Node ${server.node}`)],
        [t.source, shown(server === null ? undefined : (server.source ?? t.flags))],
        [t.listening, shown(server?.listening.map(({ url }) => url).join(', '))],
      ]}
    />
  );
}
