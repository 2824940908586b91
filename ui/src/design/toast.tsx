import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { ApiError } from '../api/problem.ts';
import { common } from '../i18n/common.ts';
import { IconButton } from './button.tsx';
import { Icon } from './icon.tsx';

interface Toast {
  readonly id: number;
  readonly tone: 'good' | 'bad' | 'info';
  readonly text: string;
}

/** Good news leave by themselves, bad ones stay longer, ms. */
const STAYS_MS = { good: 4_000, info: 5_000, bad: 12_000 };
const SHOWN_MAX = 4;

const toasts = signal<readonly Toast[]>([]);
let count = 0;

/** Says something at the edge of the page, over everything, and to readers of the screen. */
export function toast({ tone = 'good', text }: { tone?: Toast['tone']; text: string }): void {
  const id = ++count;
  toasts.value = [...toasts.peek().filter((other) => other.text !== text), { id, tone, text }].slice(-SHOWN_MAX);
  setTimeout(() => drop(id), STAYS_MS[tone]);
}

/** Says what an action ran into. What nobody answered is said by the page's banner. */
export function toastError(error: unknown): void {
  if (error instanceof DOMException && error.name === 'AbortError') return;
  const text = error instanceof ApiError ? (error.away ? common().awayAction : error.message) : String(error);
  toast({ tone: 'bad', text });
}

function drop(id: number): void {
  toasts.value = toasts.peek().filter((other) => other.id !== id);
}

export function Toasts() {
  const box = useRef<HTMLDivElement>(null);
  const shown = toasts.value;
  useEffect(() => {
    // Shown anew, it stands over dialogs that were opened meanwhile.
    const element = box.current;
    if (element === null || typeof element.showPopover !== 'function') return;
    if (element.matches(':popover-open')) element.hidePopover();
    if (shown.length > 0) element.showPopover();
  }, [shown]);
  return (
    <>
      <div class="unseen" role="status" aria-live="polite">
        {shown.at(-1)?.text ?? ''}
      </div>
      <div class="toasts" ref={box} popover="manual">
        {shown.map(({ id, tone, text }) => (
          <div key={id} class={`toast toast-${tone}`}>
            <Icon name={tone === 'good' ? 'check' : tone === 'bad' ? 'error' : 'info'} />
            <span class="grow wrap-anywhere">{text}</span>
            <IconButton icon="close" label={common().close} onClick={() => drop(id)} />
          </div>
        ))}
      </div>
    </>
  );
}
