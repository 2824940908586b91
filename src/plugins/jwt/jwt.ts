import { duration, list, text, textLike, toggle } from '../../schema/kind.ts';
import { httpUrl } from '../../schema/http-url.ts';
import { type PublicKey, publicKey as publicKeyKind } from '../../schema/public-key.ts';
import { setting, type Table, type Values } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { definePlugin, type PluginContext, type PluginExchange, type PluginResponse, type Reply, slot, type Verdict } from '../../proxy/plugin.ts';
import { cookiePlace, headerPlace, queryPlace } from '../credential-place.ts';
import { DELAY_MAX_MS, delayed, denial } from '../denial.ts';
import { jwtClaims } from '../limit/key.ts';
import { algorithmKind, algorithmsOf, ASYMMETRIC, isHmac } from './algorithms.ts';
import { type ClaimHeader, claimHeader, claimText } from './claim-header.ts';
import { type Jose, loadJose } from './jose.ts';
import { Jwks } from './jwks.ts';
import { TokenBody } from './token-body.ts';
import { type Claims, Verifier } from './verifier.ts';

const settings = {
  secret: setting<string | null>({
    kind: text('SECRET', 'text'),
    group: 'Whose tokens',
    help: 'signs and checks tokens (HS256, HS384, HS512)',
    fallback: null,
    fallbackText: 'none',
    secret: 'line',
  }),
  publicKey: setting<PublicKey | null>({
    kind: publicKeyKind(),
    group: 'Whose tokens',
    help: 'checks tokens that somebody else signs',
    fallback: null,
    fallbackText: 'none',
  }),
  jwksUrl: setting<URL | null>({
    kind: httpUrl('https://id.example.com/.well-known/jwks.json'),
    group: 'Whose tokens',
    help: 'where the keys are that check tokens',
    fallback: null,
    fallbackText: 'none',
  }),
  jwksTtl: setting({ kind: duration(), group: 'Whose tokens', help: 'how long keys count as new', fallback: 3_600_000 }),
  algorithm: setting<readonly string[]>({
    kind: list(algorithmKind),
    group: 'Whose tokens',
    help: 'algorithms that are taken; the first signs',
    fallback: [],
    fallbackText: 'HS256 for a secret, else those that fit the keys',
  }),
  issuer: setting<readonly string[]>({ kind: list(text()), group: 'Which tokens', help: 'what iss must be', fallback: [], fallbackText: 'any' }),
  audience: setting<readonly string[]>({
    kind: list(text()),
    group: 'Which tokens',
    help: 'what aud must name',
    fallback: [],
    fallbackText: 'any',
  }),
  leeway: setting({ kind: duration(300_000), group: 'Which tokens', help: 'how far clocks may be apart for exp and nbf', fallback: 0 }),
  header: setting<string | null>({
    kind: textLike(/^[A-Za-z][\w-]{0,63}$/, 'NAME', 'name of a header', 'write it as Authorization'),
    group: 'Where the token is',
    help: 'header that holds it, with Bearer before it',
    fallback: null,
    fallbackText: 'Authorization, unless there is a cookie or query',
  }),
  cookie: setting<string | null>({
    kind: textLike(/^[!#$%&'*+\-.^`|~\w]{1,64}$/, 'NAME', 'name of a cookie', 'write it as jwt'),
    group: 'Where the token is',
    help: 'cookie that holds it',
    fallback: null,
    fallbackText: 'none',
  }),
  query: setting<string | null>({
    kind: textLike(/^[\w.~-]{1,64}$/, 'NAME', 'name of a query parameter', 'write it as token'),
    group: 'Where the token is',
    help: 'query parameter that holds it; access logs show *** for one called token or access_token',
    fallback: null,
    fallbackText: 'none',
  }),
  authPath: setting<string | null>({
    kind: textLike(/^\/[\x21-\x7e]*$/, 'PATH', 'path', 'begin it with /'),
    group: 'Signing',
    help: 'this path needs no token: the JSON of the upstream\'s 2xx answer is signed and becomes {"token": …}',
    fallback: null,
    fallbackText: 'none',
  }),
  claimHeaders: setting<readonly ClaimHeader[]>({
    kind: list(claimHeader),
    group: 'Request',
    help: 'claims that the upstream gets as headers; nobody else can send these headers',
    fallback: [],
    fallbackText: 'none',
  }),
  hideCredentials: setting({ kind: toggle(), group: 'Request', help: 'the upstream does not see the token', fallback: false }),
  delay: setting({ kind: duration(DELAY_MAX_MS), group: 'Answer', help: 'wait so long before saying that it was wrong', fallback: 0 }),
} satisfies Table;

type Settings = Values<typeof settings>;

/** Lets in who brings a token that is signed by the right one (RFC 7519). */
export const jwtPlugin = definePlugin({
  name: 'jwt',
  summary: 'asks for a signed token (JWT), checks it, and can sign some',
  steps: ['request'],
  settings,
  async create(values, context) {
    const { authPath, claimHeaders, hideCredentials, delay } = values;
    const place = placeOf(values, context);
    const algorithms = allowedOf(values, context);
    const jose = await loadJose();
    const demands = { algorithms, issuers: values.issuer, audiences: values.audience, leewayMs: values.leeway };
    const secret = values.secret === null ? null : Buffer.from(values.secret, 'utf8');
    const jwks = values.jwksUrl === null ? null : new Jwks(values.jwksUrl.href, values.jwksTtl, jose, context.clock, context.log);
    const verifier = new Verifier(jose, secret ?? jwks ?? values.publicKey!.key, demands, context.clock);
    // The answer is to be signed.
    const signed = slot<true>(`jwt_signed ${context.name}`);
    const missing = denial(401, 'Token is missing', ['WWW-Authenticate', 'Bearer']);

    const pass = (exchange: PluginExchange, claims: Claims): Verdict => {
      const { request } = exchange;
      for (const { claim, header } of claimHeaders) {
        const value = claimText(claims, claim);
        if (value === null) return invalid('Token has a claim that cannot be passed on');
        if (value === undefined) continue;
        request.setHeader(header, value);
        exchange.hadAuthorization = true;
      }
      exchange.set(jwtClaims, claims);
      if (hideCredentials) place.hide(request);
      return undefined;
    };
    const check = async (exchange: PluginExchange, token: string): Promise<Verdict> => {
      const found = await verifier.check(token);
      if (found.claims !== null) return pass(exchange, found.claims);
      return found.unavailable ? denial(503, found.why, ['Retry-After', '1']) : delayed(invalid(found.why), delay);
    };

    return {
      request(exchange) {
        const { request } = exchange;
        for (const { header } of claimHeaders) request.removeHeader(header);
        if (authPath !== null && request.path === authPath && request.upgrade === '') {
          // What is signed has to be there whole, and not packed.
          for (const name of ['accept-encoding', 'range', 'if-none-match', 'if-modified-since', 'if-range']) request.removeHeader(name);
          exchange.set(signed, true);
          return undefined;
        }
        const token = place.read(request);
        if (token === undefined) return missing;
        const known = verifier.known(token);
        return known === null ? check(exchange, token) : pass(exchange, known);
      },
      ...(authPath === null
        ? {}
        : {
            response: (exchange: PluginExchange) => {
              if (exchange.get(signed) === true) sign(exchange.response!, jose, secret!, algorithms[0]!);
            },
          }),
      close: () => jwks?.close(),
    };
  },
});

/** RFC 6750 3: the sentences are ours, and hold no quotes. */
function invalid(why: string): Reply {
  return denial(401, why, ['WWW-Authenticate', `Bearer error="invalid_token", error_description="${why}"`]);
}

/** Where tokens are. */
function placeOf(
  { header, cookie, query }: Settings,
  { log }: PluginContext,
): { read: (request: PluginExchange['request']) => string | undefined; hide: (request: PluginExchange['request']) => void } {
  const name = header ?? (cookie === null && query === null ? 'Authorization' : null);
  if ([header, cookie, query].filter((one) => one !== null).length > 1)
    log.warn({}, 'jwt looks in one place: header counts before cookie, cookie before query; keep one');
  const place = name !== null ? headerPlace(name) : cookie !== null ? cookiePlace(cookie) : queryPlace(query!);
  const mustBear = name?.toLowerCase() === 'authorization';
  return {
    hide: (request) => place.hide(request),
    read(request) {
      const given = place.read(request);
      if (given === undefined || given === '') return undefined;
      if (/^bearer +/i.test(given)) return given.slice(6).trimStart();
      return mustBear ? undefined : given;
    },
  };
}

/** Which algorithms are taken. Never one that would let a public key be taken for a secret. @throws Wrong */
function allowedOf({ secret, publicKey, jwksUrl, algorithm, authPath }: Settings, { log }: PluginContext): readonly string[] {
  const given = [secret, publicKey, jwksUrl].filter((one) => one !== null).length;
  if (given === 0) throw new Wrong('has no key to check tokens with', 'write secret, public_key or jwks_url');
  if (given > 1) throw new Wrong('has more than one of secret, public_key and jwks_url', 'keep one');
  if (authPath !== null && secret === null) throw new Wrong('has auth_path and no secret to sign with', 'write secret, or leave auth_path out');
  if (secret !== null) {
    if (/-----BEGIN|^ssh-/.test(secret))
      throw new Wrong('has a key as its secret: whoever knows the public key could sign', 'write it as public_key');
    const wrong = algorithm.find((one) => !isHmac(one));
    if (wrong !== undefined) throw new Wrong(`has a secret, and algorithm ${wrong}, which needs a key`, 'write public_key or jwks_url, or HS256');
    if (Buffer.byteLength(secret) < 32) log.warn({}, 'the secret of jwt is shorter than 32 bytes: it can be guessed from a single token');
    return algorithm.length === 0 ? ['HS256'] : algorithm;
  }
  const hmac = algorithm.find(isHmac);
  if (hmac !== undefined)
    throw new Wrong(
      `has a public key, and algorithm ${hmac}, with which it would be a secret that everybody knows`,
      'write RS256, PS256, ES256 or EdDSA',
    );
  if (publicKey === null) return algorithm.length === 0 ? ASYMMETRIC : algorithm;
  const fits = algorithmsOf(publicKey.key);
  const strange = algorithm.find((one) => !fits.includes(one));
  if (strange !== undefined) throw new Wrong(`has a public_key that does not fit algorithm ${strange}`, `choose of ${fits.join(', ')}`);
  return algorithm.length === 0 ? fits : algorithm;
}

/** Of the fields that were about the body that is signed. */
const OF_THE_BODY = [
  'content-encoding',
  'etag',
  'last-modified',
  'accept-ranges',
  'content-md5',
  'digest',
  'content-digest',
  'repr-digest',
  'content-language',
];

function sign(response: PluginResponse, jose: Jose, secret: Buffer, algorithm: string): void {
  if (response.status < 200 || response.status > 299 || response.bodiless) return;
  const coding = response.header('content-encoding');
  if (coding !== undefined && coding.toLowerCase() !== 'identity')
    throw new Error(`the answer at auth_path is packed (${coding.slice(0, 20)}), so it cannot be signed`);
  for (const name of OF_THE_BODY) response.removeHeader(name);
  asJson(response);
  response.transform(
    new TokenBody((payload) => new jose.CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: algorithm, typ: 'JWT' }).sign(secret)),
  );
}

function asJson(response: PluginResponse): void {
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Cache-Control', 'no-store');
}
