import { hostname } from 'node:os';
import type { ConfigChange, LogTemplatePreview, RewritePreview, RouteQuestion, RouteTest } from '../../admin/model.ts';
import { Problem } from '../../admin/route.ts';
import type { RoutingBackend } from '../../admin/routing-routes.ts';
import type { GatewaySettings } from '../../config/gateway.ts';
import { routesOf } from '../../config/routing.ts';
import { SettingsError } from '../../config/settings-error.ts';
import { Notes } from '../../http/exchange.ts';
import { makePeer } from '../../http/head.ts';
import { compileTargetRewrite } from '../../http/target-rewrite.ts';
import { imagine } from '../../proxy/imagined.ts';
import { TemplateJournal } from '../../proxy/template-journal.ts';
import { parseAccessLog } from '../../schema/access-log.ts';
import { Wrong } from '../../schema/wrong.ts';

export interface RoutingOptions {
  /** What serves. */
  readonly settings: () => GatewaySettings;
  /** What would serve after changes; null where there are no files. @throws Problem */
  readonly settingsAfter: ((changes: readonly ConfigChange[]) => Promise<GatewaySettings>) | null;
  /** Wall-clock ms. */
  readonly wall: () => number;
}

/** What would become of a request, asked of the configuration that serves. */
export class ConsoleRouting implements RoutingBackend {
  readonly #options: RoutingOptions;

  constructor(options: RoutingOptions) {
    this.#options = options;
  }

  async test({ server, method = 'GET', host, path, headers = [], changes = [] }: RouteQuestion): Promise<readonly RouteTest[]> {
    const { settings, settingsAfter } = this.#options;
    const asked = changes.length === 0 || settingsAfter === null ? settings() : await settingsAfter(changes);
    const described = { host, method, path, headers: headers.map(([name, value]) => `${name}: ${value}`) };
    try {
      return routesOf(asked, described, server ?? null).map(({ upstream, target, considered, ...route }) => ({
        ...route,
        upstream: upstream ?? '',
        target: target ?? '',
        considered: considered.map(({ name, weight, verdict, why }) => ({
          location: name,
          weight,
          matches: verdict === 'wins' || verdict === 'behind',
          reason: why,
        })),
      }));
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      throw new Problem(422, 'no_request', error.lines[0]!.replace(/^route: |^--server /, ''));
    }
  }

  rewrite(rewrite: string, path: string): RewritePreview {
    const nothing = { matches: false, target: '', captures: {} };
    try {
      const { target } = imagine({ host: 'example.com', method: 'GET', path, headers: [] });
      const compiled = compileTargetRewrite(rewrite);
      const made = compiled.of(target, null);
      if (made === null) return { ...nothing, target, problem: '' };
      const captures = Object.fromEntries(compiled.capturesOf(made, null));
      return { matches: true, target: made.problem === null ? made.target : '', captures, problem: made.problem === null ? '' : made.detail };
    } catch (error) {
      return { ...nothing, problem: problemOf(error) };
    }
  }

  logTemplate(template: string): LogTemplatePreview {
    let line = '';
    try {
      // What the environment holds is nobody's business: {$NAME} is shown as not set.
      const { template: parsed } = parseAccessLog(template, '/', {});
      const sink = { dropped: 0, write: (text: string) => void (line += text), reopen: () => {}, close: () => Promise.resolve() };
      const peer = makePeer('192.0.2.7', 52_814, 443, 'https', false);
      const headers = ['User-Agent: curl/8.9.1', 'Referer: https://example.com/', 'X-Request-Id: 01JD3Z8G', 'Cookie: theme=dark'];
      const head = imagine({ host: 'example.com', method: 'GET', path: '/v1/models?page=2', headers });
      head.peer = peer;
      const notes = new Notes(1_000);
      const entry = new TemplateJournal(parsed, sink, this.#options.wall).begin(head, notes, peer);
      Object.assign(notes, { dispatchedMs: 1_004.2, firstByteMs: 1_031.8, endpoint: hostname(), replyBytes: 5_324, attempts: 1 });
      entry.finished(200, 1_042.5, 'api', 'models');
      return { line: line.trimEnd(), problem: '' };
    } catch (error) {
      return { line: '', problem: problemOf(error) };
    }
  }
}

function problemOf(error: unknown): string {
  if (!(error instanceof Wrong)) throw error;
  return `${error.part === null ? 'it' : JSON.stringify(error.part)} ${error.message}; ${error.fix}`;
}
