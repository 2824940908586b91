import { useEffect, useState } from 'preact/hooks';
import type { TrafficStory } from '../../../../src/admin/model.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge, toneOfStatus } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { CopyButton, CopyField } from '../../design/copy.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { Facts } from '../../design/facts.tsx';
import { Icon } from '../../design/icon.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { common } from '../../i18n/common.ts';
import { bytes, dateTime, duration, number } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { href, replace } from '../../router.ts';
import { texts } from './texts.ts';
import { useAgentNames } from './use-agent-names.ts';
import { Waterfall } from './waterfall.tsx';

/** A request that still runs is looked at again this often, ms. */
const RUNNING_MS = 1_000;

/** The whole story of one request. */
export function StoryDrawer({ id, query, onClose }: { id: string; query: URLSearchParams; onClose: () => void }) {
  const t = texts().story;
  const [running, setRunning] = useState(true);
  const {
    data: story,
    error,
    reload,
  } = useLoad((signal) => api.get<TrafficStory>(at`traffic/${id}`, { signal }), id, running ? { everyMs: RUNNING_MS } : {});
  useEffect(() => setRunning(story === undefined ? error === null : story.status === 0), [story, error]);
  return (
    <Dialog
      side
      wide
      title={
        story === undefined ? (
          id
        ) : (
          <span class="story-title">
            <code>{story.method}</code> <code class="wrap-anywhere">{story.target}</code>
          </span>
        )
      }
      note={
        story !== undefined && (
          <span class="row row-wrap">
            <Badge tone={toneOfStatus(story.status)}>{story.status === 0 ? texts().running : story.status}</Badge>
            <span class="tabular strong">{duration(story.totalMs)}</span>
            <span class="soft">{dateTime(story.atMs)}</span>
          </span>
        )
      }
      onClose={onClose}
      footer={story !== undefined && <Actions story={story} query={query} />}
    >
      {story === undefined ? (
        error === null ? (
          <Skeleton lines={10} />
        ) : error.status === 404 ? (
          <Empty icon="traffic" title={t.gone}>
            {t.goneText}
          </Empty>
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : (
        <Story story={story} />
      )}
    </Dialog>
  );
}

function Actions({ story, query }: { story: TrafficStory; query: URLSearchParams }) {
  const t = texts().story;
  const [busy, run] = useAction();
  const allowed = may('operate');
  const why = story.replay.possible ? (allowed ? undefined : common().needs('operate')) : story.replay.why;
  const replay = (): void => {
    void run(async () => {
      const { id } = await api.post<{ id: string }>(at`traffic/${story.id}/replay`);
      replace('traffic', id, Object.fromEntries(query));
    }, t.replayed);
  };
  return (
    <>
      {why !== undefined && <span class="story-why faint small">{why}</span>}
      <CopyButton withText small={false} text={story.curl} label={t.copyCurl} />
      <Button kind="primary" icon="replay" busy={busy} disabled={why !== undefined} onClick={replay}>
        {t.replay}
      </Button>
    </>
  );
}

function Story({ story }: { story: TrafficStory }) {
  const t = texts().story;
  const names = useAgentNames();
  const agent = names.get(story.agent) || story.agent;
  const way = [
    [story.server, href('traffic')],
    [story.location, href('traffic', [], { location: story.location })],
    [story.upstream, href('upstreams', story.upstream)],
    story.agent === '' ? [story.endpoint, href('upstreams', story.upstream)] : [agent, href('agents', story.agent)],
  ].filter(([name]) => name !== '') as [string, string][];
  return (
    <div class="stack">
      {story.failure !== '' && (
        <div class="note note-bad">
          <Icon name="error" size={17} />
          <div class="note-text">
            <strong>{story.failure}</strong> <span class="wrap-anywhere">{story.failureDetail}</span>
          </div>
        </div>
      )}
      <Waterfall story={story} agent={agent} />
      {story.tries.length > 1 && (
        <section class="story-part">
          <h3>{t.tries}</h3>
          <ol class="tries">
            {story.tries.map((one, i) => (
              <li key={i}>
                <span class="faint tabular">{i + 1}</span> <span class="wrap-anywhere">{one}</span>
              </li>
            ))}
          </ol>
        </section>
      )}
      <section class="story-part">
        <h3>{t.about}</h3>
        <Facts
          items={[
            [
              t.way,
              <span class="way" key="way">
                {way.map(([name, to], i) => (
                  <>
                    {i > 0 && <Icon name="right" size={13} />}
                    <a key={name} href={to}>
                      {name}
                    </a>
                  </>
                ))}
              </span>,
            ],
            [t.client, story.client],
            [t.host, story.host],
            [t.protocol, story.protocol],
            [t.sizes, t.sizesText(bytes(story.requestBytes), bytes(story.replyBytes))],
            [t.attempts, number(story.attempts)],
            ...(story.replayOf === ''
              ? []
              : [
                  [
                    t.repeats,
                    <a href={href('traffic', story.replayOf)} key="repeats">
                      {story.replayOf}
                    </a>,
                  ] as const,
                ]),
            ...(
              [
                [t.requestId, story.requestId],
                [t.traceId, story.traceId],
              ] as const
            )
              .filter(([, value]) => value !== '')
              .map(
                ([name, value]) =>
                  [
                    name,
                    <span class="row" key={name}>
                      <code class="wrap-anywhere">{value}</code>
                      <CopyButton text={value} label={common().copyThis(name)} />
                    </span>,
                  ] as const,
              ),
          ]}
        />
      </section>
      <Headers title={t.requestHeaders} headers={story.requestHeaders} open />
      <Headers title={t.sentHeaders} headers={story.sentHeaders} />
      <Headers title={t.replyHeaders} headers={story.replyHeaders} open />
      <section class="story-part">
        <h3>{t.curl}</h3>
        <CopyField text={story.curl} label={t.curl} />
      </section>
    </div>
  );
}

function Headers({ title, headers, open = false }: { title: string; headers: TrafficStory['requestHeaders']; open?: boolean }) {
  return (
    <details class="story-part headers" open={open}>
      <summary>
        <Icon name="right" size={14} />
        <h3>{title}</h3> <span class="faint small">{headers.length}</span>
      </summary>
      {headers.length === 0 ? (
        <p class="soft small">{texts().story.noHeaders}</p>
      ) : (
        <dl class="header-list">
          {headers.map(([name, value], i) => (
            <div key={i}>
              <dt>{name}</dt>
              <dd class={value === '********' ? 'faint' : ''}>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </details>
  );
}
