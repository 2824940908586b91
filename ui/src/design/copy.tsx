import { useEffect, useState } from 'preact/hooks';
import { common } from '../i18n/common.ts';
import { Button, IconButton } from './button.tsx';
import { toast } from './toast.tsx';

/** How long a button says that it has copied, ms. */
const SAID_MS = 1_600;

export function CopyButton({ text, label, small = true, withText = false }: { text: string; label?: string; small?: boolean; withText?: boolean }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = (): void => void copyText(text).then((done) => (done ? setCopied(true) : toast({ tone: 'bad', text: common().copyFailed })));
  const says = copied ? common().copied : (label ?? common().copy);
  return withText ? (
    <Button small={small} icon={copied ? 'check' : 'copy'} onClick={copy}>
      {says}
    </Button>
  ) : (
    <IconButton icon={copied ? 'check' : 'copy'} label={says} onClick={copy} class={copied ? 'copied' : ''} />
  );
}

/** A text that is meant to be taken away: one line, or as many as it has. */
export function CopyField({ text, label, secret = false }: { text: string; label: string; secret?: boolean }) {
  return (
    <div class="copy-field">
      <pre class={`copy-text ${secret ? 'copy-secret' : ''}`} tabIndex={0} aria-label={label}>
        {text}
      </pre>
      <CopyButton text={text} label={common().copyThis(label)} />
    </div>
  );
}

/** Also on pages without TLS, where browsers have no `navigator.clipboard`. @returns false when the browser refused */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'unseen';
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    try {
      return document.execCommand('copy');
    } finally {
      area.remove();
    }
  }
}
