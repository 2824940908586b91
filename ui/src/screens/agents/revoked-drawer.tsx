import type { Page, RevokedAgent } from '../../../../src/admin/model.ts';
import { api, at } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { useAction } from '../../design/action.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { dateTime } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { texts } from './texts.ts';

/** Who may not come in any more, and the way back. */
export function RevokedDrawer({ onClose }: { onClose: () => void }) {
  const t = texts();
  const { data, error, reload } = useLoad((signal) => api.get<Page<RevokedAgent>>('revoked', { signal }), 'revoked', { on: ['agents'] });
  const [busy, run] = useAction();
  return (
    <Dialog side title={t.revokedList} onClose={onClose}>
      {data === undefined ? (
        error === null ? (
          <Skeleton lines={5} />
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : data.items.length === 0 ? (
        <Empty icon="block" title={t.revokedEmpty}>
          {t.revokedEmptyText}
        </Empty>
      ) : (
        <ul class="sessions">
          {data.items.map(({ id, name, atMs, by, reason, fixed }) => (
            <li key={id} class="session">
              <div class="row spread">
                <span class="wrap-anywhere">
                  {name !== '' && name !== id && <span class="strong">{name} </span>}
                  <code class="soft">{id}</code>
                </span>
                {fixed ? (
                  <Badge>{t.fixed}</Badge>
                ) : (
                  may('admin') && (
                    <Button small busy={busy} onClick={() => void run(() => api.delete(at`revoked/${id}`), t.allowed(id)).then(reload)}>
                      {t.allow}
                    </Button>
                  )
                )}
              </div>
              {reason !== '' && <div class="wrap-anywhere">{reason}</div>}
              {atMs > 0 && (
                <div class="faint small">
                  {dateTime(atMs)}
                  {by !== '' && ` · ${t.by} ${by}`}
                </div>
              )}
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}
