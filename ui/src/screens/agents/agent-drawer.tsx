import { useEffect, useState } from 'preact/hooks';
import type { AgentInfo } from '../../../../src/admin/model.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge, Label } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { confirm } from '../../design/confirm.tsx';
import { CopyButton } from '../../design/copy.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { Facts } from '../../design/facts.tsx';
import { Meter } from '../../design/meter.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { Tabs } from '../../design/tabs.tsx';
import { ago, bytes, dateTime, duration, number } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { nowMs } from '../../live/store.ts';
import { href } from '../../router.ts';
import { AgentForm } from './agent-form.tsx';
import { StateBadge } from './state-badge.tsx';
import { texts } from './texts.ts';

const EVERY_MS = 2_000;

/** Everything about one agent, and what can be done with it. */
export function AgentDrawer({ id, onClose }: { id: string; onClose: () => void }) {
  const t = texts();
  const {
    data: agent,
    error,
    reload,
  } = useLoad((signal) => api.get<AgentInfo>(at`agents/${id}`, { signal }), id, { on: ['agents'], everyMs: EVERY_MS });
  const [tab, setTab] = useState<'about' | 'edit'>('about');
  const [gone, setGone] = useState(false);
  useEffect(() => setGone(error?.status === 404), [error]);
  return (
    <Dialog
      side
      title={agent?.name || id}
      note={
        agent !== undefined && (
          <span class="row row-wrap">
            <StateBadge state={agent.state} />
            {Object.entries(agent.labels).map(([name, value]) => (
              <Label key={name} name={name} value={value} />
            ))}
          </span>
        )
      }
      onClose={onClose}
      footer={agent !== undefined && !gone && <Actions agent={agent} reload={reload} onClose={onClose} />}
    >
      {gone ? (
        <Empty icon="agents" title={t.gone}>
          {t.goneText}
        </Empty>
      ) : agent === undefined ? (
        error === null ? (
          <Skeleton lines={8} />
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : (
        <Tabs
          label={agent.name || id}
          value={tab}
          tabs={[
            ['about', t.tabs.about],
            ['edit', t.tabs.edit],
          ]}
          onChange={setTab}
        >
          {tab === 'about' ? <About agent={agent} /> : <AgentForm agent={agent} onSaved={reload} />}
        </Tabs>
      )}
    </Dialog>
  );
}

function Actions({ agent, reload, onClose }: { agent: AgentInfo; reload: () => void; onClose: () => void }) {
  const t = texts();
  const [busy, run] = useAction();
  const name = agent.name || agent.id;
  const revoke = async (): Promise<void> => {
    const reason = await confirm({ title: t.revokeTitle(name), text: t.revokeText, yes: t.revokeYes, danger: true, reason: t.reason });
    if (reason === null) return;
    if (await run(() => api.post(at`agents/${agent.id}/revoke`, { reason }), t.revoked(name))) onClose();
  };
  return (
    <>
      {may('admin') && (
        <Button kind="danger" icon="block" disabled={busy} onClick={() => void revoke()}>
          {t.revoke}
        </Button>
      )}
      {may('operate') &&
        (agent.drained ? (
          <Button icon="resume" busy={busy} onClick={() => void run(() => api.post(at`agents/${agent.id}/resume`), t.resumed(name)).then(reload)}>
            {t.resume}
          </Button>
        ) : (
          <Button
            icon="drain"
            busy={busy}
            title={t.drainText}
            disabled={agent.state === 'away'}
            onClick={() => void run(() => api.post(at`agents/${agent.id}/drain`), t.drained(name)).then(reload)}
          >
            {t.drain}
          </Button>
        ))}
    </>
  );
}

function About({ agent }: { agent: AgentInfo }) {
  const t = texts();
  const f = t.facts;
  return (
    <div class="stack">
      <Facts
        items={[
          [
            f.id,
            <span class="row" key="id">
              <code class="wrap-anywhere">{agent.id}</code>
              <CopyButton text={agent.id} />
            </span>,
          ],
          [
            f.slots,
            <span class="row" key="slots">
              <span class="agent-meter">
                <Meter used={agent.slots - agent.free} of={agent.slots} label={t.taken(agent.slots - agent.free, agent.slots)} />
              </span>
              {t.slotsFree(agent.free, agent.slots)}
            </span>,
          ],
          [
            f.served,
            <span class="row" key="served">
              {number(agent.served)} <a href={href('traffic', [], { agent: agent.id })}>{t.traffic}</a>
            </span>,
          ],
          [f.failed, number(agent.failed)],
          [f.joined, agent.joinedAtMs === 0 ? '–' : `${dateTime(agent.joinedAtMs)} (${ago(agent.joinedAtMs, nowMs.value)})`],
          ...(agent.leftAtMs === 0 ? [] : [[f.left, ago(agent.leftAtMs, nowMs.value)] as const]),
          [f.scopes, agent.scopes.length === 0 ? f.anyScope : agent.scopes.join(', ')],
          [f.wire, agent.wire],
          [f.version, agent.version.replace('windlass/', '') || '–'],
          ...(agent.expiresAtMs === 0 ? [] : [[f.token, dateTime(agent.expiresAtMs)] as const]),
          ...(agent.certificate === null ? [] : [[f.certificate, `${agent.certificate.subject} · ${agent.certificate.fingerprint}`] as const]),
          ...(agent.remark === '' ? [] : [[t.remark, agent.remark] as const]),
        ]}
      />
      <section class="drawer-part">
        <h3>
          {t.sessions} <span class="faint">{agent.sessions.length}</span>
        </h3>
        {agent.sessions.length === 0 && <p class="soft small">{t.noSessions}</p>}
        <ul class="sessions">
          {agent.sessions.map((session) => (
            <li key={session.address} class="session">
              <div class="row spread">
                <code class="clip">{session.address}</code>
                <span class="soft small">{session.rttMs === null ? '' : duration(session.rttMs)}</span>
              </div>
              <Meter used={session.slots - session.free} of={session.slots} label={t.taken(session.slots - session.free, session.slots)} />
              <div class="row spread small soft row-wrap">
                <span>{t.slotsFree(session.free, session.slots)}</span>
                <span>{t.bytes(bytes(session.bytesIn), bytes(session.bytesOut))}</span>
                <span>{ago(session.joinedAtMs, nowMs.value)}</span>
              </div>
            </li>
          ))}
        </ul>
      </section>
      <section class="drawer-part">
        <h3>{t.hardware}</h3>
        {agent.hardware === null ? (
          <p class="soft small">{t.noHardware}</p>
        ) : (
          <Facts items={Object.entries(agent.hardware).map(([name, value]) => [named(name), <Hardware key={name} name={name} value={value} />])} />
        )}
      </section>
    </div>
  );
}

/** `cpuCores` as people write it; the unit stands with the value. */
function named(key: string): string {
  const words = key.replace(/Bytes$/, '').replaceAll(/([a-z\d])([A-Z])/g, '$1 $2');
  return (words.charAt(0).toUpperCase() + words.slice(1).toLowerCase()).replaceAll(/\b[cg]pu/gi, (word) => word.toUpperCase());
}

function Hardware({ name, value }: { name: string; value: unknown }) {
  if (typeof value === 'number' && /bytes$/i.test(name)) return <>{bytes(value)}</>;
  if (typeof value === 'number') return <>{number(value, Number.isInteger(value) ? 0 : 2)}</>;
  if (typeof value === 'boolean') return <Badge>{String(value)}</Badge>;
  if (value === null || (Array.isArray(value) && value.length === 0)) return <span class="faint">–</span>;
  return <span class="wrap-anywhere">{typeof value === 'string' ? value : JSON.stringify(value)}</span>;
}
