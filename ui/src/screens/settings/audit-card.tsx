import { useState } from 'preact/hooks';
import type { AuditEntry, Page } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { useAction } from '../../design/action.ts';
import { Badge, toneOfStatus } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { SearchField } from '../../design/field.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { Table } from '../../design/table.tsx';
import { ago, dateTime } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { nowMs } from '../../live/store.ts';
import { settingsWords } from './words.ts';

const PAGE = 50;

/** Who has done what. */
export function AuditCard() {
  const t = settingsWords();
  const { data, error, reload } = useLoad((signal) => api.get<Page<AuditEntry>>('audit', { query: { limit: PAGE }, signal }), 'audit', {
    everyMs: 15_000,
  });
  const [older, setOlder] = useState<readonly AuditEntry[]>([]);
  const [end, setEnd] = useState(false);
  const [find, setFind] = useState('');
  const [busy, run] = useAction();
  const newest = data?.items ?? [];
  const oldestNew = newest.at(-1)?.atMs ?? Infinity;
  const all = [...newest, ...older.filter(({ atMs }) => atMs < oldestNew)];
  const word = find.trim().toLowerCase();
  const shown = word === '' ? all : all.filter((one) => JSON.stringify(one).toLowerCase().includes(word));
  const more = (): void =>
    void run(async () => {
      const { items } = await api.get<Page<AuditEntry>>('audit', { query: { limit: PAGE, before: all.at(-1)?.atMs } });
      setOlder([...older, ...items]);
      setEnd(items.length < PAGE);
    });
  return (
    <Card flush title={t.audit} note={t.auditText} actions={<SearchField label={t.auditFind} value={find} onInput={setFind} />}>
      {data === undefined ? (
        error === null ? (
          <Skeleton lines={4} />
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : (
        <>
          <Table
            label={t.audit}
            items={shown}
            keyOf={(entry) => `${entry.atMs} ${entry.who} ${entry.action} ${entry.subject} ${entry.detail}`}
            empty={<Empty icon="history" title={t.auditNone} />}
            columns={[
              { id: 'when', title: t.auditWhen, width: '110px', cell: ({ atMs }) => <span title={dateTime(atMs)}>{ago(atMs, nowMs.value)}</span> },
              {
                id: 'who',
                title: t.auditWho,
                width: 'minmax(100px, 0.8fr)',
                cell: ({ who, role }) => (
                  <span class="row">
                    <span class="strong clip">{who === '' ? '–' : who}</span>
                    {role !== '' && <Badge>{role}</Badge>}
                  </span>
                ),
              },
              {
                id: 'what',
                title: t.auditWhat,
                width: 'minmax(180px, 2.4fr)',
                cell: ({ action, subject, detail }) => (
                  <span class="audit-what">
                    <code>{action}</code>
                    <span class="soft wrap-anywhere">{[subject, detail].filter((part) => part !== '').join(' · ')}</span>
                  </span>
                ),
              },
              { id: 'from', title: t.auditFrom, width: 'minmax(90px, 0.7fr)', spare: 1, cell: ({ address }) => <code class="clip">{address}</code> },
              { id: 'status', title: t.auditResult, width: '80px', cell: ({ status }) => <Badge tone={toneOfStatus(status)}>{status}</Badge> },
            ]}
          />
          {!end && newest.length >= PAGE && (
            <div class="audit-more">
              <Button small busy={busy} onClick={more}>
                {t.auditMore}
              </Button>
            </div>
          )}
        </>
      )}
    </Card>
  );
}
