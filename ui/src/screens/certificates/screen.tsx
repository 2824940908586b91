import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { CertificateInfo, Page } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import { may } from '../../api/may.ts';
import { Badge, type Tone } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { CopyButton } from '../../design/copy.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { SearchField, Segments } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { Skeleton } from '../../design/skeleton.tsx';
import { common } from '../../i18n/common.ts';
import { date } from '../../i18n/format.ts';
import { useLoad } from '../../live/load.ts';
import { info, nowMs } from '../../live/store.ts';
import { go, href, setQuery } from '../../router.ts';
import type { ScreenProps } from '../screen.ts';
import './certificates.css';
import { byUrgency, daysLeft, lifeOver, problemBesideDates, type Standing, standingOf } from './validity.ts';
import { certificateWords } from './words.ts';

const TONES: Record<Standing, Tone> = { good: 'good', soon: 'warn', expired: 'bad', early: 'warn', wrong: 'bad' };
type Filter = 'all' | 'bad' | 'soon';

/** Every certificate: how long it is good, what is wrong with it, who shows it. */
export default function CertificatesScreen({ query }: ScreenProps) {
  const t = certificateWords();
  const { data, error, reload } = useLoad((signal) => api.get<Page<CertificateInfo>>('certificates', { signal }), 'certificates', {
    on: ['certificates', 'config'],
  });
  const [find, setFind] = useState(query.get('find') ?? '');
  const filter = (query.get('show') ?? 'all') as Filter;
  // Days count here, not seconds: the page is not drawn anew each of them.
  const now = Math.floor(nowMs.value / 60_000) * 60_000;
  const all = data?.items ?? [];
  const bad = all.filter((one) => standingOf(one, now) !== 'good');
  const word = find.trim().toLowerCase();
  const shown = all
    .filter((one) => (filter === 'all' ? true : filter === 'bad' ? standingOf(one, now) !== 'good' : daysLeft(one.notAfterMs, now) <= 30))
    .filter(
      (one) => word === '' || [one.name, one.subject, one.issuer, one.fingerprint, ...one.names].some((text) => text.toLowerCase().includes(word)),
    )
    .toSorted(byUrgency(now));
  const canAdd = may('admin') && info.value?.kind === 'gateway';
  return (
    <div class="page">
      <div class="page-head">
        <div class="page-title">
          <h1>{t.title}</h1>
          {data !== undefined && <span class="page-note">{t.says(all.length, bad.length)}</span>}
        </div>
        {canAdd && (
          <div class="page-actions">
            <Button icon="plus" onClick={() => go('configuration', 'certificates', { new: '1' })}>
              {t.add}
            </Button>
          </div>
        )}
      </div>
      {data === undefined ? (
        error === null ? (
          <Skeleton lines={6} height={24} />
        ) : (
          <Refused error={error} retry={reload} />
        )
      ) : all.length === 0 ? (
        <Empty icon="certificates" title={t.none}>
          {t.noneText}
        </Empty>
      ) : (
        <>
          <div class="tools">
            <SearchField label={t.find} value={find} onInput={setFind} shortcut />
            <Segments
              label={t.filter}
              value={filter}
              choices={(['all', 'bad', 'soon'] as const).map((one) => [one, t.filters[one]] as const)}
              onChange={(next) => setQuery({ show: next === 'all' ? undefined : next })}
            />
          </div>
          {shown.length === 0 ? (
            <Empty icon="search" title={common().nothingFound}>
              {common().nothingFoundText}
            </Empty>
          ) : (
            <ul class="certificates">
              {shown.map((one) => (
                <Certificate key={`${one.name}-${one.fingerprint}`} of={one} now={now} />
              ))}
            </ul>
          )}
        </>
      )}
    </div>
  );
}

function Certificate({ of, now }: { of: CertificateInfo; now: number }) {
  const t = certificateWords();
  const [open, setOpen] = useState(false);
  const standing = standingOf(of, now);
  const problem = problemBesideDates(of);
  const days = daysLeft(of.notAfterMs, now);
  const left = days > 0 ? t.daysLeft(days) : days === 0 ? t.expiredToday : t.expired(-days);
  return (
    <li class={`certificate certificate-${TONES[standing]}`}>
      <div class="certificate-head">
        <button type="button" class="certificate-open" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Icon name={open ? 'down' : 'right'} size={15} />
          <span class="certificate-name clip">{of.names.length > 0 ? of.names.slice(0, 3).join(', ') : of.name}</span>
          {of.names.length > 3 && <span class="faint small">+{of.names.length - 3}</span>}
        </button>
        <span class="certificate-tags">
          <Badge>{t.source[of.source]}</Badge>
          <Badge tone={TONES[standing]} dot>
            {standing === 'early' ? t.notYet : left}
          </Badge>
        </span>
      </div>
      <div class="life" role="img" aria-label={`${t.timeline}: ${date(of.notBeforeMs)} – ${date(of.notAfterMs)}, ${left}`}>
        <span class="life-date">{date(of.notBeforeMs)}</span>
        <span class="life-bar">
          <span class="life-over" style={{ width: `${lifeOver(of, now) * 100}%` }} />
        </span>
        <span class="life-date">{date(of.notAfterMs)}</span>
      </div>
      {problem !== '' && (
        <p class="certificate-problem">
          <Icon name="error" size={15} /> <span class="wrap-anywhere">{problem}</span>
        </p>
      )}
      {open && (
        <dl class="certificate-facts">
          <Fact name={t.names}>
            <span class="few-names">
              {of.names.map((name) => (
                <code key={name}>{name}</code>
              ))}
            </span>
          </Fact>
          <Fact name={t.subject}>
            <span class="wrap-anywhere">{of.subject}</span>
          </Fact>
          <Fact name={t.issuer}>
            <span class="wrap-anywhere">{of.issuer}</span>
          </Fact>
          <Fact name={t.fingerprint}>
            <span class="row">
              <code class="wrap-anywhere small">{of.fingerprint}</code>
              <CopyButton text={of.fingerprint} />
            </span>
          </Fact>
          <Fact name={t.usedBy}>
            {of.usedBy.length === 0 ? (
              <span class="faint">{t.nobody}</span>
            ) : (
              <span class="few-names">
                {of.usedBy.map((subject) => (
                  <a key={subject} href={subjectHref(subject)}>
                    {subject}
                  </a>
                ))}
              </span>
            )}
          </Fact>
          {of.source !== 'server' && info.value?.kind === 'gateway' && (
            <Fact name="">
              <a href={href('configuration', ['certificates', of.name])}>{t.edit}</a>
            </Fact>
          )}
        </dl>
      )}
    </li>
  );
}

function subjectHref(subject: string): string {
  const at = subject.indexOf('.');
  return at < 0 ? href('configuration', ['servers', subject]) : href('configuration', [subject.slice(0, at), subject.slice(at + 1)]);
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="certificate-fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
