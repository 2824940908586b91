import { address, choice, duration, list, path, upstreamUrl } from '../schema/kind.ts';
import { setting, type Values } from '../schema/setting.ts';
import { adminAddr, commonSettings, commonTable, listenSettings, listenTable } from './common.ts';
import type { ProxySettings } from './settings.ts';
import { tracesTable, traceSettings } from './traces.ts';

const UPSTREAM = 'The upstream';

/** Settings of `proxy`, section [proxy]. */
export const proxyTable = {
  from: setting({ kind: address('0.0.0.0'), group: 'To start', help: 'where to listen', hint: 'such as :8080' }),
  to: setting({ kind: list(upstreamUrl()), group: 'To start', help: 'where requests go; several share them', hint: 'such as localhost:3000' }),
  hostHeader: setting<'upstream' | 'keep'>({
    kind: choice(['keep', 'upstream']),
    group: UPSTREAM,
    help: "Host that the upstream sees: keep the client's, or its own name",
    fallback: 'keep',
  }),
  connectTimeout: setting({ kind: duration(), group: UPSTREAM, help: 'how long connecting may take', fallback: 5000 }),
  firstByteTimeout: setting({ kind: duration(), group: UPSTREAM, help: "how long the answer's head may take; 0 = no limit", fallback: 60_000 }),
  idleTimeout: setting({ kind: duration(), group: UPSTREAM, help: 'how long an answer may pause; 0 = no limit', fallback: 60_000 }),
  caFile: setting<string | null>({
    kind: path('path of a PEM file'),
    group: UPSTREAM,
    help: 'more certificate authorities to believe',
    fallback: null,
    fallbackText: 'the built-in ones',
  }),
  ...listenTable,
  adminAddr: adminAddr(null),
  ...tracesTable(1),
  ...commonTable,
} as const;

export function proxySettings(values: Values<typeof proxyTable>): ProxySettings {
  return {
    ...commonSettings(values),
    ...listenSettings(values),
    host: values.from.host,
    port: values.from.port,
    to: values.to,
    hostHeader: values.hostHeader,
    caFile: values.caFile,
    connectTimeoutMs: values.connectTimeout,
    firstByteTimeoutMs: values.firstByteTimeout,
    idleTimeoutMs: values.idleTimeout,
    traces: traceSettings(values),
  };
}
