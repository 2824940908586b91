import type { Overview } from '../../../../src/admin/model.ts';
import { Icon, type IconName } from '../../design/icon.tsx';
import { duration, number, span } from '../../i18n/format.ts';
import { said } from '../../i18n/said.ts';
import { latest, nowMs } from '../../live/store.ts';
import { href } from '../../router.ts';
import { texts } from './texts.ts';

interface Trouble {
  readonly tone: 'bad' | 'warn';
  readonly icon: IconName;
  readonly text: string;
  readonly more?: string;
  readonly to: string;
}

/** A certificate that ends within this is worth a look, ms. */
const CERTIFICATE_SOON_MS = 14 * 86_400_000;
/** Who has waited this long is worth a look, ms. */
const QUEUE_OLD_MS = 15_000;
const SHOWN_MAX = 6;

/** What is unwell, first of all; or that nothing is. */
export function Attention({ overview }: { overview: Overview | undefined }) {
  const t = texts();
  if (overview === undefined) return <div class="attention attention-waiting" aria-busy="true" />;
  const troubles = troublesOf(overview);
  if (troubles.length === 0)
    return (
      <div class="attention attention-well" role="status">
        <Icon name="check" size={17} />
        <strong>{t.well}</strong>
        <span class="soft">{t.wellText}</span>
      </div>
    );
  return (
    <section class="attention-list" aria-label={t.attention}>
      {troubles.slice(0, SHOWN_MAX).map(({ tone, icon, text, more, to }) => (
        <a key={text} class={`attention attention-${tone}`} href={to}>
          <Icon name={icon} size={17} />
          <span class="attention-text">
            <strong>{text}</strong>
            {more !== undefined && <span class="soft"> {more}</span>}
          </span>
          <span class="attention-look">
            {t.look} <Icon name="right" size={14} />
          </span>
        </a>
      ))}
    </section>
  );
}

function troublesOf({ endpoints, certificates, config }: Overview): Trouble[] {
  const t = texts();
  const tick = latest.value;
  const found: Trouble[] = [];
  if (!config.ok)
    found.push({ tone: 'bad', icon: 'configuration', text: t.configBroken, more: config.problems[0]?.message, to: href('configuration') });
  else if (config.etag !== config.appliedEtag) found.push({ tone: 'warn', icon: 'configuration', text: t.configPending, to: href('configuration') });
  for (const { upstream, endpoint, reason } of endpoints.unwell.slice(0, SHOWN_MAX))
    found.push({
      tone: 'bad',
      icon: 'upstreams',
      text: endpoint === '' ? t.unwellUpstream(upstream) : t.unwellEndpoint(endpoint, upstream),
      more: said(reason),
      to: href('upstreams', upstream),
    });
  const { soonest } = certificates;
  if (soonest !== null && soonest.notAfterMs - nowMs.value < CERTIFICATE_SOON_MS) {
    const left = soonest.notAfterMs - nowMs.value;
    found.push({
      tone: left <= 0 ? 'bad' : 'warn',
      icon: 'certificates',
      text: left <= 0 ? t.certificateOver(nameOf(soonest.name)) : t.certificateSoon(nameOf(soonest.name), span(left)),
      ...(certificates.soon > 1 ? { more: t.certificatesToo(certificates.soon - 1) } : {}),
      to: href('certificates'),
    });
  }
  if (tick !== null && tick.queue > 0 && tick.queueOldestMs > QUEUE_OLD_MS)
    found.push({
      tone: 'warn',
      icon: 'queue',
      text: t.queueOld(duration(tick.queueOldestMs)),
      more: tick.agents === 0 ? t.noAgents : `${number(tick.queue)} ${t.charts.waiting}`,
      to: href('queue'),
    });
  return found;
}

/** `certificates.site` is the certificate site. */
function nameOf(label: string): string {
  return label.replace(/^certificates\./, '');
}
