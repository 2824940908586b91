import { useEffect, useState } from 'preact/hooks';
import type { ConfigInfo, LogTemplatePreview, RewritePreview, RouteTest } from '../../../../src/admin/model.ts';
import { api } from '../../api/client.ts';
import type { ApiError } from '../../api/problem.ts';
import { Badge } from '../../design/badge.tsx';
import { Button } from '../../design/button.tsx';
import { Card } from '../../design/card.tsx';
import { CopyButton } from '../../design/copy.tsx';
import { Empty, Refused } from '../../design/empty.tsx';
import { Field, Select, TextField } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { said } from '../../i18n/said.ts';
import { useLoad } from '../../live/load.ts';
import { href, setQuery } from '../../router.ts';
import type { ScreenProps } from '../screen.ts';
import { headersOf, requestOf } from './request-text.ts';
import './routing.css';
import { routingWords } from './words.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
/** Typing rests for so long before the gateway is asked, ms. */
const RESTS_MS = 250;

/** Which location would take a request, and what becomes of it on the way. */
export default function RoutingScreen({ query }: ScreenProps) {
  const t = routingWords();
  const config = useLoad((signal) => api.get<ConfigInfo>('config', { signal }), 'config', { on: ['config'] });
  const servers = (config.data?.sections['servers'] ?? []).map(({ name }) => name);
  return (
    <div class="page">
      <div class="page-head">
        <div class="page-title">
          <h1>{t.title}</h1>
          <span class="page-note">{t.says}</span>
        </div>
      </div>
      <Question query={query} servers={servers} version={config.data?.appliedEtag ?? ''} />
      <div class="routing-tools">
        <RewriteTool />
        <TemplateTool />
      </div>
    </div>
  );
}

function Question({ query, servers, version }: { query: URLSearchParams; servers: readonly string[]; version: string }) {
  const t = routingWords();
  const given = query.get('url') ?? (query.get('host') === null ? '' : `https://${query.get('host')}${query.get('path') ?? '/'}`);
  const [url, setUrl] = useState(given);
  const [method, setMethod] = useState(query.get('method') ?? 'GET');
  const [server, setServer] = useState(query.get('server') ?? '');
  const [headers, setHeaders] = useState(query.get('headers') ?? '');
  const [asked, setAsked] = useState(given);
  const request = requestOf(url);
  const answer = useLoad(
    async (signal) => {
      const wanted = requestOf(asked);
      if (wanted === null) return null;
      const { tests } = await api.post<{ tests: readonly RouteTest[] }>(
        'routing/test',
        { ...wanted, method, ...(server === '' ? {} : { server }), ...(headers.trim() === '' ? {} : { headers: headersOf(headers) }) },
        { signal },
      );
      return tests;
    },
    JSON.stringify([asked, method, server, headers, version]),
  );
  const ask = (): void => {
    setAsked(url);
    setQuery({ url, method: method === 'GET' ? undefined : method, server, headers, host: undefined, path: undefined });
  };
  return (
    <>
      <Card>
        <form
          class="routing-form"
          onSubmit={(event) => {
            event.preventDefault();
            ask();
          }}
        >
          <Select label={t.method} value={method} choices={METHODS.map((one) => [one, one] as const)} onChange={setMethod} />
          <div class="routing-url">
            <TextField
              label={t.url}
              value={url}
              onInput={setUrl}
              autoFocus
              placeholder="https://example.com/api/users"
              help={t.urlHelp}
              error={url !== '' && request === null ? t.urlBad : undefined}
            />
          </div>
          <Select
            label={t.server}
            value={server}
            choices={[['', t.allServers] as const, ...servers.map((one) => [one, one] as const)]}
            onChange={setServer}
          />
          <Button type="submit" kind="primary" icon="play" disabled={request === null} class="routing-ask">
            {t.ask}
          </Button>
          <details class="routing-headers" open={headers !== ''}>
            <summary>
              {t.headers}
              {headersOf(headers).length > 0 && ` (${headersOf(headers).length})`}
            </summary>
            <Field label={<span class="unseen">{t.headers}</span>} help={t.headersHelp}>
              {(ids) => (
                <textarea
                  {...ids}
                  class="input textarea mono"
                  rows={3}
                  spellcheck={false}
                  placeholder="X-Beta: 1"
                  value={headers}
                  onInput={(event) => setHeaders(event.currentTarget.value)}
                />
              )}
            </Field>
          </details>
        </form>
      </Card>
      <div aria-live="polite" class="stack">
        {answer.error !== null ? (
          <Refused error={answer.error} retry={answer.reload} />
        ) : answer.data === undefined || answer.data === null ? (
          <Empty icon="routing" title={t.cloud} />
        ) : (
          answer.data.map((test) => <Test key={test.server} test={test} url={asked} />)
        )}
      </div>
    </>
  );
}

/** Of more locations the beginning is shown, and the one that takes the request. */
const SHOWN_MAX = 40;

function Test({ test, url }: { test: RouteTest; url: string }) {
  const t = routingWords();
  const [open, setOpen] = useState(true);
  const [all, setAll] = useState(false);
  const captures = Object.entries(test.captures);
  const shown = all ? test.considered : test.considered.filter(({ location }, i) => i < SHOWN_MAX || location === test.location);
  const hidden = test.considered.length - shown.length;
  const tone = test.location === null || (test.status !== null && test.status >= 400) ? 'warn' : 'good';
  return (
    <Card
      title={
        <a href={href('configuration', ['servers', test.server])} class="mono">
          {test.server}
        </a>
      }
      actions={
        <Badge tone={tone} dot>
          {test.location === null ? t.nobody : t.takes(test.location)}
        </Badge>
      }
    >
      <div class="stack">
        <ol class="way">
          <li class="way-step">
            <span class="way-what">{t.step.request}</span>
            <code class="wrap-anywhere">{url}</code>
          </li>
          {test.location !== null && (
            <li class="way-step">
              <span class="way-what">{t.step.location}</span>
              <a href={href('configuration', ['locations', test.location])}>{test.location}</a>
            </li>
          )}
          {test.plugins.length > 0 && (
            <li class="way-step">
              <span class="way-what">{t.step.plugins}</span>
              <span class="way-plugins">
                {test.plugins.map((name, i) => (
                  <span key={name} class="row">
                    {i > 0 && <Icon name="right" size={12} />}
                    {name.includes(':') ? <span>{name}</span> : <a href={href('configuration', ['plugins', name])}>{name}</a>}
                  </span>
                ))}
              </span>
            </li>
          )}
          <li class={`way-step ${test.refusal === '' ? 'way-end' : 'way-refused'}`}>
            {test.upstream === '' ? (
              <>
                <span class="way-what">{test.status === null ? t.answeredHere : t.refused(test.status)}</span>
                <span class="wrap-anywhere">{test.refusal}</span>
              </>
            ) : (
              <>
                <span class="way-what">{t.sentTo}</span>
                <a href={href('configuration', ['upstreams', test.upstream])}>{test.upstream}</a>
                <code class="way-target wrap-anywhere" title={t.sentAs}>
                  {test.target}
                </code>
                {test.refusal !== '' && <span class="field-warning">{test.refusal}</span>}
              </>
            )}
          </li>
        </ol>
        {captures.length > 0 && (
          <p class="row row-wrap small">
            <span class="faint">{t.captures}</span>
            {captures.map(([name, value]) => (
              <span key={name} class="label">
                <span class="label-name">{name}</span>
                <span class="label-value">{value === '' ? '""' : value}</span>
              </span>
            ))}
          </p>
        )}
        {test.considered.length > 0 && (
          <div>
            <button type="button" class="routing-more" aria-expanded={open} onClick={() => setOpen(!open)}>
              <Icon name={open ? 'down' : 'right'} size={14} /> {t.considered} <span class="faint">({test.considered.length})</span>
            </button>
            {open && (
              <ol class="considered">
                {shown.map(({ location, weight, matches, reason }) => (
                  <li key={location} class={`considered-row ${location === test.location ? 'considered-taken' : matches ? '' : 'considered-not'}`}>
                    <Icon name={matches ? 'check' : 'close'} size={15} />
                    <a href={href('configuration', ['locations', location])} class="strong">
                      {location}
                    </a>
                    <span class="grow wrap-anywhere soft">{matches ? (location === test.location ? t.matches : t.too) : said(reason)}</span>
                    <span class="faint small number">
                      {t.weight} {weight}
                    </span>
                  </li>
                ))}
                {hidden > 0 && (
                  <li class="considered-row">
                    <Button small kind="quiet" icon="down" onClick={() => setAll(true)}>
                      {t.more(hidden)}
                    </Button>
                  </li>
                )}
              </ol>
            )}
          </div>
        )}
      </div>
    </Card>
  );
}

/** Asks again when typing rests. */
function usePreview<T>(path: string, body: unknown, isAsked: boolean): { data: T | null; error: ApiError | null } {
  const [settled, setSettled] = useState('');
  const text = isAsked ? JSON.stringify(body) : '';
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), RESTS_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const { data, error } = useLoad<T | null>(async (signal) => (settled === '' ? null : api.post<T>(path, JSON.parse(settled), { signal })), settled);
  return { data: data ?? null, error };
}

function RewriteTool() {
  const t = routingWords();
  const [rewrite, setRewrite] = useState('^/api/(?<rest>.*)$ /${rest}');
  const [path, setPath] = useState('/api/users?id=7');
  const { data, error } = usePreview<RewritePreview>('routing/rewrite', { rewrite, path }, rewrite !== '' && path !== '');
  return (
    <Card title={t.rewrite} note={t.rewriteText}>
      <div class="stack">
        <TextField label={t.rewriteField} class="mono" value={rewrite} onInput={setRewrite} error={data?.problem || error?.message} />
        <TextField label={t.path} class="mono" value={path} onInput={setPath} />
        <Preview label={t.becomes} text={data === null || data.problem !== '' ? '' : data.target} />
        {data !== null && data.problem === '' && !data.matches && <p class="soft small">{t.noMatch}</p>}
        {data !== null && Object.keys(data.captures).length > 0 && (
          <p class="row row-wrap small">
            <span class="faint">{t.captures}</span>
            {Object.entries(data.captures).map(([name, value]) => (
              <span key={name} class="label">
                <span class="label-name">{name}</span>
                <span class="label-value">{value}</span>
              </span>
            ))}
          </p>
        )}
      </div>
    </Card>
  );
}

function TemplateTool() {
  const t = routingWords();
  const [template, setTemplate] = useState('{remote} {method} {uri} {status} {latency}');
  const { data, error } = usePreview<LogTemplatePreview>('routing/log-template', { template }, template !== '');
  return (
    <Card title={t.template} note={t.templateText}>
      <div class="stack">
        <TextField label={t.templateField} class="mono" value={template} onInput={setTemplate} error={data?.problem || error?.message} />
        <div class="row row-wrap">
          {['tiny', 'short', 'common', 'combined', 'json'].map((style) => (
            <Button key={style} small kind="quiet" onClick={() => setTemplate(style)}>
              {style}
            </Button>
          ))}
        </div>
        <Preview label={t.line} text={data?.line ?? ''} />
      </div>
    </Card>
  );
}

function Preview({ label, text }: { label: string; text: string }) {
  return (
    <div class="preview">
      <span class="field-label">{label}</span>
      <div class="row">
        <output class="preview-text mono grow wrap-anywhere">{text === '' ? '–' : text}</output>
        {text !== '' && <CopyButton text={text} />}
      </div>
    </div>
  );
}
