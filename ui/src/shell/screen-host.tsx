import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Button } from '../design/button.tsx';
import { Empty } from '../design/empty.tsx';
import { Skeleton } from '../design/skeleton.tsx';
import { info } from '../live/store.ts';
import { go, place } from '../router.ts';
import { SCREENS } from '../screens/all.ts';
import type { ScreenProps } from '../screens/screen.ts';
import { Boundary } from './boundary.tsx';
import { common } from '../i18n/common.ts';
import { shell } from './texts.ts';

const loaded = new Map<string, ComponentType<ScreenProps>>();

/** Shows the screen of the present place; its code comes when it is needed. */
export function ScreenHost() {
  const { screen: id, rest, query } = place.value;
  const screen = SCREENS.find((known) => known.id === (id === '' ? 'overview' : id));
  const [, redraw] = useState(0);
  const [failed, setFailed] = useState(false);
  const Shown = screen === undefined ? undefined : loaded.get(screen.id);

  useEffect(() => {
    if (screen === undefined || loaded.has(screen.id) || failed) return undefined;
    let gone = false;
    screen.load().then(
      (module) => {
        loaded.set(screen.id, module.default);
        if (!gone) redraw((count) => count + 1);
      },
      () => !gone && setFailed(true),
    );
    return () => {
      gone = true;
    };
  }, [screen?.id, failed]);

  useEffect(() => setFailed(false), [screen?.id]);

  if (screen === undefined)
    return (
      <Empty icon="search" title={shell().notFound} action={<Button onClick={() => go('overview')}>{shell().toOverview}</Button>}>
        {shell().notFoundText}
      </Empty>
    );
  if (info.value !== null && screen.shown?.(info.value) === false)
    return (
      <Empty icon={screen.icon} title={shell().notHere} action={<Button onClick={() => go('overview')}>{shell().toOverview}</Button>}>
        {shell().notHereText}
      </Empty>
    );
  if (failed && Shown === undefined)
    return (
      <Empty
        icon="offline"
        title={common().away}
        action={
          // What could not be fetched once is not fetched again by the browser: the page must begin anew.
          <Button icon="refresh" onClick={() => location.reload()}>
            {common().retry}
          </Button>
        }
      >
        {common().awayText}
      </Empty>
    );
  if (Shown === undefined)
    return (
      <div class="page" aria-busy="true">
        <Skeleton lines={4} height={18} />
      </div>
    );
  return (
    <Boundary name={screen.id}>
      <Shown key={screen.id} rest={rest} query={query} />
    </Boundary>
  );
}
