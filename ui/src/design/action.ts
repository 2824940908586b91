import { useState } from 'preact/hooks';
import { toast, toastError } from './toast.tsx';

/** Runs what a button does: `busy` until it is done, its refusal said at the edge of the page. @returns whether it worked */
export function useAction(): readonly [busy: boolean, run: (action: () => Promise<unknown>, done?: string) => Promise<boolean>] {
  const [busy, setBusy] = useState(false);
  const run = async (action: () => Promise<unknown>, done?: string): Promise<boolean> => {
    setBusy(true);
    try {
      await action();
      if (done !== undefined) toast({ tone: 'good', text: done });
      return true;
    } catch (error) {
      toastError(error);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return [busy, run];
}
