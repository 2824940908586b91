import { integer, list, scalar, text } from '../../schema/kind.ts';
import { compilePattern } from '../../schema/pattern.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { definePlugin, type PluginResponse, slot } from '../../proxy/plugin.ts';
import { isText } from './text-type.ts';
import { type Filter, readFilter } from './filter.ts';
import { FilteredBody } from './filtered-body.ts';
import { FILTERS } from './limits.ts';

/** Replaces text in answers as they pass. */
export const subFilterPlugin = definePlugin({
  name: 'sub_filter',
  summary: 'replaces text in the bodies of answers as they pass, by text or by pattern',
  steps: ['response', 'upstream_response'],
  settings: {
    filters: setting<readonly Filter[]>({
      kind: list(
        scalar('FILTER', "replacement such as sub_filter 'http:' 'https:' g, or subs_filter '(\\d+) EUR' '€ $1' gi", readFilter),
        /\n/,
        'several in a list',
      ),
      group: 'Replace',
      help: 'one after the other, each in what the one before made of the body',
      hint: `write filters = ["sub_filter 'a' 'b' g"]`,
    }),
    path: setting<string | null>({
      kind: text('PATTERN', 'regular expression (RE2)'),
      group: 'Where',
      help: 'paths whose answers are changed',
      fallback: null,
      fallbackText: 'all',
    }),
    statusCodes: setting<readonly number[]>({
      kind: list(integer(200, 599)),
      group: 'Where',
      help: 'statuses of answers that are changed',
      fallback: [],
      fallbackText: 'all',
    }),
  },
  create({ filters, path, statusCodes }, { name }) {
    if (filters.length === 0 || filters.length > FILTERS) throw new Wrong(`has ${filters.length} filters`, `write 1 to ${FILTERS}`);
    const pattern = path === null ? null : compilePattern(path);
    const statuses = new Set(statusCodes);
    const isOurs = slot<boolean>(`sub_filter ${name}`);
    return {
      request(exchange) {
        const { request } = exchange;
        if (request.upgrade !== '' || (pattern !== null && !pattern.test(request.path))) return;
        exchange.set(isOurs, true);
        // What is packed cannot be read, and a part of a body is not where it seems to be.
        request.removeHeader('accept-encoding');
        request.removeHeader('range');
        request.removeHeader('if-range');
      },
      response(exchange) {
        const response = exchange.response!;
        if (exchange.get(isOurs) !== true) return;
        const { status } = response;
        if (status === 304) {
          weaken(response);
          return;
        }
        if (status < 200 || status === 204 || status === 206 || (statuses.size > 0 && !statuses.has(status)) || response.length === 0) return;
        const coding = response.header('content-encoding') ?? 'identity';
        if (/\bno-transform\b/i.test(response.header('cache-control') ?? '')) return;
        if (coding.trim().toLowerCase() !== 'identity' || !isText(response.header('content-type') ?? '')) return;
        for (const gone of ['accept-ranges', 'content-md5', 'digest', 'content-digest', 'repr-digest']) response.removeHeader(gone);
        weaken(response);
        response.transform(new FilteredBody(filters));
      },
    };
  },
});

/** The bytes are others than those that the upstream's tag is about. */
function weaken(response: PluginResponse): void {
  const tag = response.header('etag');
  if (tag !== undefined && tag.startsWith('"')) response.setHeader('ETag', `W/${tag}`);
}
