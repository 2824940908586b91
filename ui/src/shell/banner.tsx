import { online } from '../api/client.ts';
import { nextTryAtMs } from '../api/follow.ts';
import { Button } from '../design/button.tsx';
import { Icon } from '../design/icon.tsx';
import { nowMs, retryNow } from '../live/store.ts';
import { shell } from './texts.ts';

/** Says that nobody answers, for as long as that is so. Its place is kept free at the bottom, so nothing moves. */
export function Banner() {
  if (online.value) return null;
  const seconds = Math.max(0, Math.ceil((nextTryAtMs.value - nowMs.value) / 1_000));
  return (
    <div class="banner" role="alert">
      <Icon name="offline" />
      <span>
        <strong>{shell().awayTitle}</strong> <span class="banner-text">{shell().awayText(seconds)}</span>
      </span>
      <Button small icon="refresh" onClick={retryNow}>
        {shell().retryNow}
      </Button>
    </div>
  );
}
