import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api/problem.ts';
import { common } from '../i18n/common.ts';
import { Button } from './button.tsx';
import { Icon, type IconName } from './icon.tsx';

/** Nothing is there, why that is fine, and what can be done. */
export function Empty({
  icon,
  title,
  children,
  action,
}: {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
  action?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={icon} size={26} />
      </span>
      <p class="empty-title">{title}</p>
      {children !== undefined && <div class="empty-text">{children}</div>}
      {action !== undefined && <div class="empty-action">{action}</div>}
    </div>
  );
}

/** What the server said instead of what was asked for. */
export function Refused({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <Empty
      icon={error.away ? 'offline' : 'warning'}
      title={error.away ? common().away : error.status === 403 ? common().notAllowed : common().failed}
      action={
        retry !== undefined && (
          <Button icon="refresh" onClick={retry}>
            {common().retry}
          </Button>
        )
      }
    >
      <ProblemText error={error} />
    </Empty>
  );
}

/** The words of a refusal: what is wrong and its fix, as the server says it. */
export function ProblemText({ error }: { error: ApiError }) {
  const fix = error.more['fix'];
  return (
    <>
      <p class="wrap-anywhere">{error.away ? common().awayText : error.message}</p>
      {typeof fix === 'string' && <p class="wrap-anywhere strong">{fix}</p>}
      {error.code !== '' && !error.away && (
        <p class="faint small">
          <code>{error.code}</code> · HTTP {error.status}
        </p>
      )}
    </>
  );
}
