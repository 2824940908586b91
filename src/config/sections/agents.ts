import type { Cidrs } from '../../schema/cidrs.ts';
import { choice, cidrs, integer, list, path, secrets, siblings, text, textLike, toggle } from '../../schema/kind.ts';
import { setting, type Values } from '../../schema/setting.ts';
import type { UpstreamUrl } from '../../schema/upstream-url.ts';
import { certificateRoute } from '../certificate-route.ts';

const WHO = 'Who may dial in';
const CRANKER = 'Cranker connectors';

/** Settings of agents that dial in, section [agents]. Where they dial in is `accepts` of a server. */
export const agentsTable = {
  secret: setting({
    kind: secrets(),
    group: WHO,
    help: 'seals agent tokens; a file may hold several lines: the first seals, all open',
    hint: 'write secret_file = "hub.secret"; openssl rand -hex 32 makes a good one',
    secret: 'lines',
  }),
  slimeSecret: setting<readonly string[]>({
    kind: secrets(),
    group: WHO,
    help: "opens tokens that a hub of slime has issued: that hub's secret; a file may hold several lines",
    fallback: [],
    fallbackText: 'their tokens are not taken',
    secret: 'lines',
  }),
  revoked: setting<readonly string[]>({
    kind: list(text('ID', 'id or name of a token')),
    group: WHO,
    help: 'tokens that are worth nothing any more; their agents are cut off',
    fallback: [],
    fallbackText: 'none',
  }),
  revokedFile: setting<string | null>({
    kind: path('path of a file with one id or name per line'),
    group: WHO,
    help: 'the same in a file, which is read anew when it changes',
    fallback: null,
    fallbackText: 'none',
  }),
  requireCertificate: setting({
    kind: toggle(),
    group: WHO,
    help: 'agents must show a client certificate, too, which the server they dial has checked (tls_client_ca)',
    fallback: false,
  }),
  crankerAuth: setting<'token' | 'certificate' | 'none'>({
    kind: choice(['token', 'certificate', 'none']),
    group: CRANKER,
    help: 'how a connector proves who it is: an agent token (Windlass-Token or Authorization: Bearer), its certificate, or not at all',
    fallback: 'token',
  }),
  crankerRoutes: setting<readonly (readonly [string, string])[]>({
    kind: list(certificateRoute),
    group: CRANKER,
    help: 'route that a certificate with this name may register, * = any; with cranker_auth = "certificate"',
    fallback: [],
    fallbackText: 'the names in the certificate',
  }),
  crankerFrom: setting<Cidrs | null>({
    kind: cidrs(),
    group: CRANKER,
    help: 'addresses that connectors may come from',
    fallback: null,
    fallbackText: 'anywhere',
  }),
  crankerMaxInFlight: setting({
    kind: integer(0, 100_000),
    group: CRANKER,
    help: 'most requests at once to one connector of protocol 3.0; 0 = unlimited',
    fallback: 0,
  }),
  hubId: setting<string | null>({
    kind: textLike(/^[\w.-]{1,64}$/, 'NAME', 'name', 'use up to 64 letters, digits, dots and dashes'),
    group: 'Several hubs',
    help: 'names this hub to agents and in logs',
    fallback: null,
    fallbackText: 'random',
  }),
  sibling: setting<ReadonlyMap<string, UpstreamUrl>>({
    kind: siblings(),
    group: 'Several hubs',
    help: 'another hub by its id, and where agents reach it: every agent that comes here dials that one too',
    fallback: new Map(),
    fallbackText: 'none',
    aliases: ['siblings'],
  }),
} as const;

export type AgentsSettings = Values<typeof agentsTable>;
