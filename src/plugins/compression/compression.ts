import { bytes, choice, integer, toggle } from '../../schema/kind.ts';
import { setting } from '../../schema/setting.ts';
import { Wrong } from '../../schema/wrong.ts';
import { chooseCoding, codingWeights } from '../../http/accept-encoding.ts';
import { definePlugin, type PluginExchange, type PluginResponse, slot } from '../../proxy/plugin.ts';
import { type Coding, codingsOf } from './codings.ts';
import { isCompressible, isDocument } from './compressible.ts';
import { SPELLING_CHARS, SPELLINGS } from './limits.ts';
import { ZlibBody } from './zlib-body.ts';

const level = (max: number, name: string, otherwise: number) =>
  setting<number | null>({
    kind: integer(0, max),
    group: 'Levels',
    help: `how hard ${name} tries, 0 = not offered`,
    fallback: null,
    fallbackText: `${otherwise} when no level is set, else 0`,
  });

/** Compresses answers for clients that take it, and may unpack for those that do not. */
export const compressionPlugin = definePlugin({
  name: 'compression',
  summary: 'compresses answers with zstd, brotli or gzip, whichever the client takes',
  steps: ['early_request', 'request', 'upstream_response', 'response'],
  settings: {
    gzipLevel: level(9, 'gzip', 6),
    brLevel: level(11, 'brotli', 4),
    zstdLevel: level(22, 'zstd (where Node has it)', 3),
    minLength: setting({ kind: bytes(), group: 'What', help: 'bodies that are known to be shorter are left alone', fallback: 1024 }),
    mode: setting<'' | 'upstream'>({
      kind: choice(['upstream']),
      group: 'What',
      help: 'upstream: JSON, XML, HTML and other text only; list the plugin behind a cache, which then keeps what is compressed',
      fallback: '',
      fallbackText: 'everything that is text in some way',
    }),
    compressSecrets: setting({
      kind: toggle(),
      group: 'What',
      help: 'also answers with Set-Cookie and answers to requests with Authorization: their length may then tell of secrets in them (BREACH)',
      fallback: false,
    }),
    decompression: setting({
      kind: toggle(),
      group: 'Unpacking',
      help: 'unpack for clients that do not take how the upstream packed it',
      fallback: false,
    }),
    maxDecompressed: setting({
      kind: bytes(),
      group: 'Unpacking',
      help: 'largest body that is unpacked; one that turns out larger, or 100 times as large as it was packed, breaks off',
      fallback: 64 * 1024 * 1024,
    }),
  },
  create({ gzipLevel, brLevel, zstdLevel, minLength, mode, compressSecrets, decompression, maxDecompressed }, { name: ownName, log, clock }) {
    // What the client takes, as it stood when this plugin saw the request: others may change it for the upstream.
    const accepts = slot<string>(`compression ${ownName}`);
    const isPlain = gzipLevel === null && brLevel === null && zstdLevel === null;
    const levels = new Map([
      ['zstd', zstdLevel ?? (isPlain ? 3 : 0)],
      ['br', brLevel ?? (isPlain ? 4 : 0)],
      ['gzip', gzipLevel ?? (isPlain ? 6 : 0)],
    ]);
    const known = codingsOf();
    const offered = known.filter(({ name }) => levels.get(name)! > 0);
    if (![...levels.values()].some((of) => of > 0) && !decompression)
      throw new Wrong('offers nothing: all its levels are 0', 'set gzip_level, br_level or zstd_level');
    if (zstdLevel !== null && zstdLevel > 0 && !known.some(({ name }) => name === 'zstd'))
      log.warn({}, 'this Node has no zstd, which comes with 22.15; answers are packed with the other codings only');
    const chooser = new Chooser(offered);
    const fits = mode === 'upstream' ? isDocument : isCompressible;

    const compress = (exchange: PluginExchange, response: PluginResponse): void => {
      if (!fits(response.header('content-type') ?? '') || (response.length !== null && response.length < minLength)) return;
      if (!compressSecrets && (response.header('set-cookie') !== undefined || exchange.hadAuthorization)) return;
      addVary(response);
      const coding = chooser.choose(exchange.get(accepts));
      if (coding === null) return;
      const isEndless = response.length === null;
      recoded(response, coding.name);
      // Nothing is spent on what has no body.
      if (response.bodiless) response.transform(NOTHING);
      else
        response.transform(
          new ZlibBody(coding.compress(levels.get(coding.name)!), {
            flushes: isEndless,
            flush: coding.flush,
            maxBytes: Infinity,
            report: {
              clock,
              over: (bytesIn, bytesOut, busyMs) => {
                if (bytesOut > 0) exchange.note('compression_ratio', Math.round((bytesIn / bytesOut) * 100) / 100);
                exchange.note('compression_time', Math.round(busyMs * 10) / 10);
              },
            },
          }),
        );
    };

    const unpack = (exchange: PluginExchange, response: PluginResponse, packed: string): void => {
      const coding = known.find(({ name }) => name === (packed === 'x-gzip' ? 'gzip' : packed));
      if (coding === undefined) return;
      addVary(response);
      const weights = codingWeights(exchange.get(accepts) ?? '');
      if ((weights.get(coding.name) ?? weights.get('*') ?? 0) > 0) return;
      recoded(response, null);
      if (response.bodiless) response.transform(NOTHING);
      else response.transform(new ZlibBody(coding.decompress(), { flushes: false, flush: undefined, maxBytes: maxDecompressed }));
    };

    return {
      request(exchange) {
        const accept = exchange.request.header('accept-encoding');
        if (accept !== undefined) exchange.set(accepts, accept);
      },
      response(exchange) {
        const response = exchange.response!;
        const { status } = response;
        // What has been compressed is validated by its weak tag.
        if (status === 304) {
          if (chooser.choose(exchange.get(accepts)) !== null) weaken(response);
          return;
        }
        if (status < 200 || status === 204 || status === 206 || response.length === 0) return;
        if (/\bno-transform\b/i.test(response.header('cache-control') ?? '')) return;
        const packed = response.header('content-encoding')?.trim().toLowerCase() ?? '';
        if (packed === '' || packed === 'identity') compress(exchange, response);
        else if (decompression) unpack(exchange, response, packed);
      },
    };
  },
});

/** Stands for the body of an answer to HEAD: the core calls no transformer there. */
const NOTHING = { write: (): void => {}, end: (): void => {} };

/** Reads each spelling of Accept-Encoding once. */
class Chooser {
  readonly #offered: readonly Coding[];
  readonly #names: readonly string[];
  readonly #known = new Map<string, Coding | null>();

  constructor(offered: readonly Coding[]) {
    this.#offered = offered;
    this.#names = offered.map(({ name }) => name);
  }

  choose(accept: string | undefined): Coding | null {
    if (accept === undefined) return null;
    const known = this.#known.get(accept);
    if (known !== undefined) return known;
    const name = chooseCoding(codingWeights(accept), this.#names);
    const coding = name === null ? null : this.#offered[this.#names.indexOf(name)]!;
    if (this.#known.size < SPELLINGS && accept.length <= SPELLING_CHARS) this.#known.set(accept, coding);
    return coding;
  }
}

/** What holds for the bytes of a body holds no more when it is recoded (RFC 9110 8.8.1, RFC 9530). */
function recoded(response: PluginResponse, coding: string | null): void {
  if (coding === null) response.removeHeader('content-encoding');
  else response.setHeader('Content-Encoding', coding);
  for (const name of ['accept-ranges', 'content-md5', 'digest', 'content-digest', 'repr-digest']) response.removeHeader(name);
  weaken(response);
}

function weaken(response: PluginResponse): void {
  const tag = response.header('etag');
  if (tag !== undefined && tag.startsWith('"')) response.setHeader('ETag', `W/${tag}`);
}

function addVary(response: PluginResponse): void {
  const vary = response.header('vary');
  if (vary === undefined) response.setHeader('Vary', 'Accept-Encoding');
  else if (!/(?:^|[\s,])(?:accept-encoding|\*)(?:$|[\s,])/i.test(vary)) response.setHeader('Vary', `${vary}, Accept-Encoding`);
}
