/** How much of something is taken: `used` of `of`, as a bar. The text beside it says the same. */
export function Meter({ used, of, label, tone }: { used: number; of: number; label: string; tone?: 'good' | 'warn' | 'bad' | 'info' }) {
  const part = of > 0 ? Math.min(1, Math.max(0, used / of)) : 0;
  const shown = tone ?? (part >= 1 ? 'warn' : 'info');
  return (
    <span class="meter" role="img" aria-label={label} title={label}>
      <span class={`meter-bar meter-${shown}`} style={{ width: `${part * 100}%` }} />
    </span>
  );
}
