/** Grey bars of the size of what is on its way, so that nothing jumps when it comes. */
export function Skeleton({ lines = 3, height = 14 }: { lines?: number; height?: number }) {
  return (
    <div class="skeleton" aria-hidden="true">
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} class="skeleton-bar" style={{ height: `${height}px`, width: `${[92, 78, 85, 60][i % 4]}%` }} />
      ))}
    </div>
  );
}
