import zlib from 'node:zlib';
import type { Transform } from 'node:stream';
import { BROTLI_WINDOW_BITS, ZSTD_WINDOW_BITS } from './limits.ts';

/** A stream of zlib's: what is written is taken to a thread and back. */
export type ZlibStream = Transform & { flush(kind?: number): void };

/** A content coding that this Node can make and undo. */
export interface Coding {
  readonly name: string;
  /** `level` from 1. */
  compress(level: number): ZlibStream;
  decompress(): ZlibStream;
  /** Has the stream give out what it has; undefined = its own way. (For gzip that would forget what it has seen, which costs a third.) */
  readonly flush: number | undefined;
}

/** Since Node 22.15 and 23.8. */
interface ZstdMaker {
  readonly createZstdCompress?: (options: { params: Record<number, number> }) => ZlibStream;
  readonly createZstdDecompress?: (options: { params: Record<number, number> }) => ZlibStream;
  constants: { ZSTD_c_compressionLevel?: number; ZSTD_c_windowLog?: number; ZSTD_d_windowLogMax?: number };
}

/** Those there are, best first: that is the order in which they are offered. */
export function codingsOf(maker: typeof zlib | ZstdMaker = zlib): readonly Coding[] {
  const zstd = zstdOf(maker as ZstdMaker);
  return zstd === null ? [BROTLI, GZIP] : [zstd, BROTLI, GZIP];
}

const GZIP: Coding = {
  name: 'gzip',
  compress: (level) => zlib.createGzip({ level }),
  decompress: () => zlib.createGunzip(),
  flush: zlib.constants.Z_SYNC_FLUSH,
};

const BROTLI: Coding = {
  name: 'br',
  compress: (level) =>
    zlib.createBrotliCompress({
      params: { [zlib.constants.BROTLI_PARAM_QUALITY]: level, [zlib.constants.BROTLI_PARAM_LGWIN]: BROTLI_WINDOW_BITS },
    }),
  decompress: () => zlib.createBrotliDecompress(),
  flush: undefined,
};

function zstdOf({ createZstdCompress, createZstdDecompress, constants }: ZstdMaker): Coding | null {
  if (createZstdCompress === undefined || createZstdDecompress === undefined) return null;
  const { ZSTD_c_compressionLevel: level = 100, ZSTD_c_windowLog: window = 101, ZSTD_d_windowLogMax: windowMax = 100 } = constants;
  return {
    name: 'zstd',
    compress: (of) => createZstdCompress({ params: { [level]: of, [window]: ZSTD_WINDOW_BITS } }),
    // RFC 9659: nobody may be asked for more than 8 MiB.
    decompress: () => createZstdDecompress({ params: { [windowMax]: 23 } }),
    flush: undefined,
  };
}
