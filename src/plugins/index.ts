import type { PluginDefinition } from '../proxy/plugin.ts';
import { acceptEncodingPlugin } from './accept-encoding.ts';
import { adminPlugin } from './admin.ts';
import { appPasswordPlugin } from './app-password.ts';
import { basicAuthPlugin } from './basic-auth/basic-auth.ts';
import { cachePlugin } from './cache/cache.ts';
import { combinedAuthPlugin } from './combined-auth/combined-auth.ts';
import { clientCertificatePlugin } from './client-certificate.ts';
import { clientKeysPlugin } from './client-keys/client-keys.ts';
import { compressionPlugin } from './compression/compression.ts';
import { corsPlugin } from './cors.ts';
import { csrfPlugin } from './csrf/csrf.ts';
import { directoryPlugin } from './directory/directory.ts';
import { forwardAuthPlugin } from './forward-auth/forward-auth.ts';
import { grpcWebPlugin } from './grpc-web/grpc-web.ts';
import { ipRestrictionPlugin } from './ip-restriction.ts';
import { jwtPlugin } from './jwt/jwt.ts';
import { keyAuthPlugin } from './key-auth.ts';
import { limitPlugin } from './limit/limit.ts';
import { mockPlugin } from './mock.ts';
import { modelRouterPlugin } from './model-router/model-router.ts';
import { pingPlugin } from './ping.ts';
import { queuePlugin } from './queue/queue.ts';
import { redirectPlugin } from './redirect.ts';
import { refererRestrictionPlugin } from './referer-restriction.ts';
import { requestIdPlugin } from './request-id.ts';
import { responseHeadersPlugin } from './response-headers.ts';
import { rewritePlugin } from './rewrite.ts';
import { statsPlugin } from './stats.ts';
import { subFilterPlugin } from './sub-filter/sub-filter.ts';
import { trafficSplittingPlugin } from './traffic-splitting.ts';
import { uaRestrictionPlugin } from './ua-restriction.ts';

/** All plugins that come with Windlass. */
export const plugins: readonly PluginDefinition[] = [
  acceptEncodingPlugin,
  adminPlugin,
  appPasswordPlugin,
  basicAuthPlugin,
  cachePlugin,
  combinedAuthPlugin,
  clientCertificatePlugin,
  clientKeysPlugin,
  compressionPlugin,
  corsPlugin,
  csrfPlugin,
  directoryPlugin,
  forwardAuthPlugin,
  grpcWebPlugin,
  ipRestrictionPlugin,
  jwtPlugin,
  keyAuthPlugin,
  limitPlugin,
  mockPlugin,
  modelRouterPlugin,
  pingPlugin,
  queuePlugin,
  redirectPlugin,
  refererRestrictionPlugin,
  requestIdPlugin,
  responseHeadersPlugin,
  rewritePlugin,
  statsPlugin,
  subFilterPlugin,
  trafficSplittingPlugin,
  uaRestrictionPlugin,
] as unknown as readonly PluginDefinition[];
