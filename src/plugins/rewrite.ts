// HOT: request() runs per request.
import { scalar } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { compileTargetRewrite, type TargetRewrite } from '../http/target-rewrite.ts';
import { failures } from '../http/failure.ts';
import { definePlugin, type PluginExchange, type Verdict } from '../proxy/plugin.ts';

/** Makes another path of the one that was asked for, at its place among other plugins. */
export const rewritePlugin = definePlugin({
  name: 'rewrite',
  summary: 'makes another path of the one that was asked for; the query stays as it is',
  steps: ['request', 'proxy_upstream'],
  settings: {
    rewrite: setting<TargetRewrite>({
      kind: scalar('REWRITE', "'PATTERN REPLACEMENT' such as '^/api/v1/(.*)$ /v2/$1', as in a location", compileTargetRewrite, {
        format: ({ text }) => text,
      }),
      group: 'Path',
      help: 'what is looked for, and what is put in its place; $1 and $name are its groups, or what the location captured',
      hint: "write rewrite = '^/api/(.*)$ /$1'",
    }),
  },
  create({ rewrite }, { step }) {
    const isAlone = rewrite.needs.size === 0;
    const ask = (exchange: PluginExchange): Verdict => {
      const { request } = exchange;
      const made = rewrite.of(request.target, isAlone ? null : { get: (name) => exchange.capture(name) });
      if (made === null) return undefined;
      if (made.problem === null) request.setTarget(made.target);
      else return { status: failures[made.problem][0], headers: ['Content-Type', 'text/plain; charset=utf-8'], body: `${made.detail}\n` };
      return undefined;
    };
    return step === 'proxy_upstream' ? { upstream: ask } : { request: ask };
  },
});
