import { useEffect, useRef, useState } from 'preact/hooks';

/** Who has not moved for so long does not aim any more, ms. */
const RESTS_MS = 800;

export interface Aim {
  onPointerMove(): void;
  onPointerDown(): void;
  onPointerUp(): void;
  onPointerCancel(): void;
  onPointerLeave(): void;
}

/** Whether somebody is about to press a line of a list that moves: the pointer moves over it, or is down. A press whose line has moved on is a press on nothing. */
export function useAim(): readonly [aims: boolean, on: Aim] {
  const [aims, setAims] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const aim = (forMs: number): void => {
    clearTimeout(timer.current);
    setAims(true);
    if (forMs < Infinity) timer.current = setTimeout(() => setAims(false), forMs);
  };
  return [
    aims,
    {
      onPointerMove: () => aim(RESTS_MS),
      onPointerDown: () => aim(Infinity),
      onPointerUp: () => aim(RESTS_MS),
      onPointerCancel: () => aim(0),
      onPointerLeave: () => aim(0),
    },
  ];
}
